"""The library's network and quantizer for Python tests."""
import ctypes
import json

import numpy as np

from native import DOUBLES, FLOATS, LIB, UINTS, Error, ParameterList

KINDS = {np.dtype(np.float32): FLOATS, np.dtype(np.float64): DOUBLES, np.dtype(np.uint32): UINTS}


class Mark(ctypes.Structure):
    _fields_ = [("chunk", ctypes.c_void_p), ("used", ctypes.c_size_t),
                ("held", ctypes.c_size_t)]


class Config(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_char * 1024)]  # opaque here, and longer than the real one


GET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(FLOATS),
                       ctypes.POINTER(Error))


class Source(ctypes.Structure):
    _fields_ = [("get", GET), ("release", ctypes.c_void_p), ("context", ctypes.c_void_p),
                ("precise", ctypes.c_bool)]


class Activation(ctypes.Structure):
    _fields_ = [("data", FLOATS)] + \
        [(name, ctypes.c_int) for name in ("images", "height", "width", "channels")] + \
        [("sums", DOUBLES), ("squares", DOUBLES)]


class Chain(ctypes.Structure):
    _fields_ = [("block", ctypes.c_void_p), ("blocks", ctypes.c_int)]


class NetworkStruct(ctypes.Structure):
    _fields_ = [("encoder", Chain), ("decoder", Chain), ("groups", ctypes.c_int)]


def pointer(array):
    """To the numbers of a contiguous array; NULL for None."""
    return None if array is None else array.ctypes.data_as(KINDS[array.dtype])


def check(status, error):
    if status != 0:
        raise RuntimeError(error.message.decode())


class Network:
    """struct network with the weights of a torch_vqct.Network, and the quantizer."""

    def __init__(self, config, module, codebook):
        self.config, self.error, text = Config(), Error(), json.dumps(config).encode()
        check(LIB.model_config_parse(text, ctypes.c_size_t(len(text)), ctypes.byref(self.config),
                                     ctypes.byref(self.error)), self.error)
        self.list = ParameterList()
        check(LIB.network_parameters(ctypes.byref(self.config), ctypes.byref(self.list), None),
              self.error)
        names = [p.name.decode() for p in self.list]
        state = module.state_dict()
        assert sorted(names) == sorted(state), "names differ from taming's"
        self.values = [np.ascontiguousarray(state[name].numpy(), dtype=np.float32)
                       for name in names]
        self.get = GET(self._get)
        source = Source(self.get, None, None)
        self.handle = ctypes.POINTER(NetworkStruct)()
        check(LIB.network_new(ctypes.byref(self.config), ctypes.byref(self.list),
                              ctypes.byref(source), ctypes.byref(self.handle),
                              ctypes.byref(self.error)), self.error)
        self.codebook = np.ascontiguousarray(codebook, dtype=np.float32)
        self.quantizer = ctypes.create_string_buffer(1024)
        check(LIB.quantizer_init(self.quantizer, ctypes.byref(self.config),
                                 pointer(self.codebook), ctypes.byref(self.error)), self.error)
        self.planes = LIB.model_config_planes(ctypes.byref(self.config))

    def _get(self, _, index, values, __):
        values[0] = pointer(self.values[index])
        return 0

    def close(self):
        LIB.network_free(self.handle)
        LIB.quantizer_free(self.quantizer)
        LIB.parameter_list_free(ctypes.byref(self.list))

    def run(self, chain, x, team, keep=False):
        """N,H,W,C through 'encoder' or 'decoder'; keep: with a tape, as training runs it."""
        chain = getattr(self.handle.contents, chain)
        images, height, width, channels = x.shape
        given, result = Activation(pointer(x), images, height, width, channels), Activation()
        tape = ctypes.create_string_buffer(256 * chain.blocks) if keep else None
        LIB.arena_mark.restype = Mark
        mark = LIB.arena_mark(team.contents.arena)
        check(LIB.chain_forward(ctypes.byref(chain), ctypes.byref(given), ctypes.byref(result),
                                tape, team, ctypes.byref(self.error)),
              self.error)
        shape = (result.images, result.height, result.width, result.channels)
        y = np.ctypeslib.as_array(result.data, shape=shape).copy()
        LIB.arena_release(team.contents.arena, mark)
        return y

    def tokens(self, z, team):
        """h,w,Z of one image to P,h,w."""
        tokens = np.zeros((self.planes, *z.shape[:2]), np.uint32)
        check(LIB.quantizer_encode(self.quantizer, pointer(z), ctypes.c_size_t(tokens[0].size),
                                   pointer(tokens), team,
                                   ctypes.byref(self.error)), self.error)
        return tokens

    def code_values(self, tokens, channels):
        """P,h,w to h,w,Z."""
        values = np.full((*tokens.shape[1:], channels), np.nan, np.float32)
        check(LIB.quantizer_decode(self.quantizer, pointer(tokens),
                                   ctypes.c_size_t(tokens[0].size), pointer(values),
                                   ctypes.byref(self.error)), self.error)
        return values


class Content(ctypes.Structure):
    _fields_ = [("config", ctypes.POINTER(Config)), ("weights", FLOATS), ("codebook", FLOATS),
                ("words", ctypes.POINTER(ctypes.c_char_p)),
                ("training_counts", ctypes.POINTER(ctypes.c_uint64))]


F16, BF16, F32 = 7, 8, 11  # of enum tensor_type


def save_model(path, config, module, codebook, words=None, kind=F32):
    """Writes a model file with the weights of a torch_vqct.Network."""
    network = Network(config, module, codebook)
    weights = np.concatenate([value.ravel() for value in network.values])
    texts = (ctypes.c_char_p * len(words))(*(word.encode() for word in words)) if words else None
    content = Content(ctypes.pointer(network.config), pointer(weights), pointer(network.codebook),
                      texts, None)
    try:
        check(LIB.model_file_save(path.encode(), ctypes.byref(content), kind,
                                  ctypes.byref(network.error)), network.error)
    finally:
        network.close()


class Plane(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("first", ctypes.c_uint32), ("count", ctypes.c_uint32)]


class ModelInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("architecture", ctypes.c_char_p),
                ("checksum", ctypes.c_char_p), ("downsampling", ctypes.c_uint32),
                ("channels", ctypes.c_uint32), ("planes", ctypes.c_uint32),
                ("plane", ctypes.POINTER(Plane)), ("codes", ctypes.c_uint32),
                ("code_dimension", ctypes.c_uint32), ("parameters", ctypes.c_uint64),
                ("encode_flops", ctypes.c_uint64), ("decode_flops", ctypes.c_uint64),
                ("vector_dimension", ctypes.c_uint32)]


class Session:
    """An opened model with one session."""

    def __init__(self, path, threads):
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        self.error = Error()
        check(LIB.vqct_model_open(path.encode(), ctypes.byref(self.model),
                                  ctypes.byref(self.error)), self.error)
        check(LIB.vqct_session_new(self.model, threads, ctypes.byref(self.session),
                                   ctypes.byref(self.error)), self.error)

    def close(self):
        LIB.vqct_session_free(self.session)
        LIB.vqct_model_close(self.model)

    def info(self):
        LIB.vqct_model_info.restype = ctypes.POINTER(ModelInfo)
        return LIB.vqct_model_info(self.model).contents

    def encode(self, pixels, planes, factor):
        """N,H,W,C bytes to N,P,h,w."""
        images, height, width = pixels.shape[:3]
        tokens = np.zeros((images, planes, height // factor, width // factor), np.uint32)
        check(LIB.vqct_encode(self.session, addresses(pixels), ctypes.c_size_t(images), height,
                              width, addresses(tokens), ctypes.byref(self.error)), self.error)
        return tokens

    def encode_vectors(self, pixels, planes, factor):
        """The same, and N,h,w,Z of what was quantised."""
        images, height, width = pixels.shape[:3]
        grid = (height // factor, width // factor)
        tokens = np.zeros((images, planes, *grid), np.uint32)
        vectors = np.zeros((images, *grid, self.info().vector_dimension), np.float32)
        check(LIB.vqct_encode_vectors(self.session, addresses(pixels), ctypes.c_size_t(images), height,
                                      width, addresses(tokens), addresses(vectors),
                                      ctypes.byref(self.error)), self.error)
        return tokens, vectors

    def code_vectors(self, tokens):
        """P,h,w to h,w,Z."""
        vectors = np.zeros((*tokens.shape[1:], self.info().vector_dimension), np.float32)
        check(LIB.vqct_model_vectors(self.model, pointer(tokens), ctypes.c_size_t(tokens[0].size),
                                     pointer(vectors), ctypes.byref(self.error)), self.error)
        return vectors

    def decode(self, tokens, channels, factor):
        """N,P,h,w to N,H,W,C bytes."""
        images, _, height, width = tokens.shape
        pixels = np.zeros((images, height * factor, width * factor, channels), np.uint8)
        check(LIB.vqct_decode(self.session, addresses(tokens), ctypes.c_size_t(images), height,
                              width, addresses(pixels), ctypes.byref(self.error)), self.error)
        return pixels


def addresses(array):
    """Of the array's rows, as C expects an array of pointers."""
    return (ctypes.c_void_p * len(array))(*(row.ctypes.data for row in array))
