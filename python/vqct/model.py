"""Models: pictures to tokens and back, through libvqct.

Shapes as in the library: N pictures, H rows, W columns, C channels, P planes, h = H / downsampling,
w = W / downsampling; tokens are row numbers of the whole codebook.
"""
import contextlib
import ctypes
import dataclasses
import json
import os
import threading
import weakref
from ctypes import byref, c_uint8, c_void_p
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _files, _library
from .errors import InvalidError

Picture = Union[np.ndarray, bytes, str, "os.PathLike[str]", Any]
"""uint8 H,W,C or H,W; the bytes of a picture's file; the path of one; or a PIL.Image."""


@dataclasses.dataclass(frozen=True)
class Plane:
    """A plane of tokens: each lies in [first, first + count)."""

    name: str
    first: int
    count: int


@dataclasses.dataclass(frozen=True)
class Info:
    """What a model is."""

    name: str
    architecture: Dict[str, Any]
    checksum: str  # SHA-256 of the file
    downsampling: int  # pixels a token along each side
    channels: int  # of a picture
    planes: Tuple[Plane, ...]
    codes: int  # rows of the codebook
    code_dimension: int
    parameters: int  # weights without the codebook
    encode_flops: int  # floating-point operations for a picture of 256 x 256
    decode_flops: int


class _Sessions:
    """Sessions that nobody uses at the moment. One belongs to one thread at a time, so a call takes
    one or makes one; there are as many as there were calls at once."""

    def __init__(self, path: bytes, threads: int):
        self._lock = threading.Lock()
        self._free: List[int] = []
        self._busy = 0
        self._threads = threads
        self._closing = False
        model = c_void_p()
        _library.call("vqct_model_open", path, byref(model))
        self.model: Optional[int] = model.value

    @contextlib.contextmanager
    def one(self) -> Iterator[int]:
        with self._lock:
            if self._closing:
                raise InvalidError("the model is closed")
            self._busy += 1
            session = self._free.pop() if self._free else None
        try:
            if session is None:
                made = c_void_p()
                _library.call("vqct_session_new", self.model, self._threads, byref(made))
                session = made.value
            assert session is not None
            yield session
        finally:
            with self._lock:
                self._busy -= 1
                if session is not None:
                    self._free.append(session)
                self._end_if_unused()

    def close(self) -> None:
        """Frees what no call uses; the last call that is going on frees the rest."""
        with self._lock:
            self._closing = True
            self._end_if_unused()

    def _end_if_unused(self) -> None:
        if not self._closing or self._busy or self.model is None:
            return
        for session in self._free:
            _library.library().vqct_session_free(session)
        self._free.clear()
        _library.library().vqct_model_close(self.model)
        self.model = None


class Model:
    """A model file, opened. May be used from any number of threads.

    threads: how many one call may use (0: all processors that the process may use).
    Raises ReadError, ModelError, NotFiniteError, OutOfMemoryError.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"], threads: int = 0):
        if not 0 <= threads <= 1024:
            raise InvalidError(f"threads: {threads} is not within 0 to 1024")
        self._sessions = _Sessions(os.fsencode(path), threads)
        self._close = weakref.finalize(self, self._sessions.close)
        self.info = self._read_info()
        self._codebook: Optional[np.ndarray] = None
        self._words: Optional[Tuple[str, ...]] = None

    def close(self) -> None:
        """Frees the model. Calls that are going on in other threads end first."""
        self._close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<vqct.Model {self.info.name} {self.info.checksum[:8]}>"

    # ---- facts ----

    def _read_info(self) -> Info:
        facts = _library.library().vqct_model_info(self._sessions.model).contents
        return Info(
            name=facts.name.decode(), architecture=json.loads(facts.architecture),
            checksum=facts.checksum.decode(), downsampling=facts.downsampling,
            channels=facts.channels,
            planes=tuple(Plane(plane.name.decode(), plane.first, plane.count)
                         for plane in facts.plane[:facts.planes]),
            codes=facts.codes, code_dimension=facts.code_dimension,
            parameters=facts.parameters, encode_flops=facts.encode_flops,
            decode_flops=facts.decode_flops)

    def _codes(self) -> Iterator[_library.Code]:
        with self._sessions.one():
            for token in range(self.info.codes):
                code = _library.Code()
                _library.library().vqct_model_code(self._sessions.model, token, byref(code))
                yield code

    @property
    def codebook(self) -> np.ndarray:
        """The codes, float32 codes,d; read-only."""
        if self._codebook is None:
            width = self.info.code_dimension
            rows = np.stack([np.ctypeslib.as_array(code.vector, (width,)) for code in self._codes()])
            rows.setflags(write=False)
            self._codebook = rows
        return self._codebook

    @property
    def words(self) -> Tuple[str, ...]:
        """The word of each code; "" where the codebook has no words."""
        if self._words is None:
            self._words = tuple(code.word.decode() for code in self._codes())
        return self._words

    # ---- pictures to tokens ----

    def encode(self, images: Union[Picture, Sequence[Picture]],
               size: Union[None, int, Tuple[int, int]] = None,
               resize: str = "cover") -> np.ndarray:
        """Tokens N,P,h,w (uint16, or uint32 where the codebook has over 65,536 rows).

        images: uint8 N,H,W,C, or a sequence of pictures (see Picture), or one picture (N = 1).
        size: (height, width) or the side of a square that each is resized to, "cover" (scaled and
        cropped from the centre) or "contain"; without it they are taken as they are, with what
        is over a multiple of the downsampling factor cropped at the edges. All results need one
        shape. Raises InvalidError, ImageError, ReadError, LimitError and what the network reports.
        """
        if isinstance(images, np.ndarray) and images.ndim == 4:
            pictures = self._from_batch(images)
        else:
            pictures = [self._pixels(one, size, resize) for one in self._as_list(images)]
            size = None
        if size is not None:
            pictures = [self._pixels(one, size, resize) for one in pictures]
        if len({picture.shape for picture in pictures}) > 1:
            raise InvalidError("pictures of one call need one size: give `size`")
        if not len(pictures):
            raise InvalidError("no pictures")
        return self._encode(pictures)

    @staticmethod
    def _as_list(images: Any) -> List[Picture]:
        return [images] if hasattr(images, "convert") else _files.as_list(images, np.ndarray)

    def _from_batch(self, images: np.ndarray) -> Sequence[np.ndarray]:
        if images.dtype != np.uint8:
            raise InvalidError(f"pixels are {images.dtype}, not uint8")
        factor, (_, height, width, channels) = self.info.downsampling, images.shape
        if channels != self.info.channels:
            raise InvalidError(f"pictures have {channels} channels, the model "
                               f"{self.info.channels}")
        if height % factor or width % factor or not images.flags.c_contiguous:
            top, left = height % factor // 2, width % factor // 2
            images = np.ascontiguousarray(images[:, top:top + height // factor * factor,
                                                 left:left + width // factor * factor])
        return images  # type: ignore[return-value]

    def _encode(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        count, (height, width) = len(pictures), pictures[0].shape[:2]
        factor = self.info.downsampling
        tokens = np.empty((count, len(self.info.planes), height // factor, width // factor),
                          np.uint32)
        with self._sessions.one() as session:
            _library.call("vqct_encode", session, _rows(pictures), count, height, width,
                          _rows(tokens))
        return tokens.astype(np.uint16) if self.info.codes <= 65536 else tokens

    def _pixels(self, picture: Picture, size: Union[None, int, Tuple[int, int]],
                resize: str) -> np.ndarray:
        """One picture as the network wants it: uint8 H,W,C."""
        with contextlib.ExitStack() as stack:
            image, _keep = self._load(picture, stack)
            if size is not None:
                if resize not in ("cover", "contain"):
                    raise InvalidError(f"resize: {resize!r} is not 'cover' or 'contain'")
                height, width = (size, size) if isinstance(size, int) else size
                if not (0 < height <= 65535 and 0 < width <= 65535):
                    raise InvalidError(f"size: {height} x {width} is not within 1 to 65535")
                image = _step(stack, "vqct_image_resize", image, _library.RESIZE[resize], width,
                              height)
            image = _step(stack, "vqct_image_crop_to_multiple", image, self.info.downsampling)
            pixels = np.ctypeslib.as_array(image.pixels,
                                           (image.height, image.width, image.channels)).copy()
        if pixels.shape[2] == self.info.channels:
            return pixels
        if pixels.shape[2] == 1:
            return np.repeat(pixels, self.info.channels, axis=2)
        raise InvalidError(f"a picture has {pixels.shape[2]} channels, the model "
                           f"{self.info.channels}")

    def _load(self, picture: Picture, stack: contextlib.ExitStack) -> Tuple[_library.Image, Any]:
        """A picture as the library's record, and what holds its pixels."""
        if isinstance(picture, (*_files.BYTES, str, os.PathLike)):
            data, limits = _files.read(picture), _library.Limits(*_library.DEFAULT_LIMITS)
            return _step(stack, "vqct_image_decode", data, len(data), limits), None
        if hasattr(picture, "convert"):  # a PIL.Image
            picture = np.asarray(picture.convert("L" if self.info.channels == 1 else "RGB"))
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape:
            raise InvalidError(f"a picture is {array.dtype} of shape {array.shape}, "
                               "not uint8 of H,W,C or H,W")
        array = np.ascontiguousarray(array.reshape(*array.shape[:2], -1))
        height, width, channels = array.shape
        pixels = array.ctypes.data_as(ctypes.POINTER(c_uint8))
        return _library.Image(pixels, width, height, channels), array

    # ---- tokens to pictures ----

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Pictures uint8 N,H,W,C of tokens N,P,h,w; H,W,C of P,h,w. Any type of whole numbers.

        Raises TokensError where a token is outside its plane, InvalidError where the shape is wrong.
        """
        array = np.asarray(tokens)
        if not np.issubdtype(array.dtype, np.integer):
            raise InvalidError(f"tokens are {array.dtype}, not whole numbers")
        if array.ndim not in (3, 4) or array.shape[-3] != len(self.info.planes) or 0 in array.shape:
            raise InvalidError(f"tokens of shape {array.shape} are not N,{len(self.info.planes)},h,w")
        batch = array.reshape(-1, *array.shape[-3:])
        # What does not fit into 32 bits is no token of any model; the library names the place.
        numbers = np.where((batch >= 0) & (batch < 2**32 - 1), batch, 2**32 - 1).astype(np.uint32)
        numbers = np.ascontiguousarray(numbers)
        count, _, rows, columns = numbers.shape
        factor = self.info.downsampling
        pixels = np.empty((count, rows * factor, columns * factor, self.info.channels), np.uint8)
        with self._sessions.one() as session:
            _library.call("vqct_decode", session, _rows(numbers), count, rows, columns,
                          _rows(pixels))
        return pixels if array.ndim == 4 else pixels[0]


def _step(stack: contextlib.ExitStack, function: str, source: Any, *arguments: Any) -> Any:
    """Calls a function that makes an image, which is freed when the stack ends."""
    result = _library.Image()
    given = byref(source) if isinstance(source, _library.Image) else source
    passed = [byref(one) if isinstance(one, ctypes.Structure) else one for one in arguments]
    _library.call(function, given, *passed, byref(result))
    stack.callback(_library.library().vqct_image_free, byref(result))
    return result


def _rows(arrays: Any) -> Any:
    """The addresses of the first axis' parts, which must be contiguous each."""
    if isinstance(arrays, np.ndarray):
        first, step = arrays.ctypes.data, arrays.strides[0]
        return (c_void_p * len(arrays))(*(first + i * step for i in range(len(arrays))))
    return (c_void_p * len(arrays))(*(one.ctypes.data for one in arrays))
