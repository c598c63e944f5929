"""libvqct as ctypes sees it: where it is found, its records and its functions. No logic.

The library is looked for in VQCT_LIBRARY (a file), then beside this package, then where the system
keeps libraries. ctypes releases the interpreter's lock around each call.
"""
import ctypes
import ctypes.util
import functools
import os
import pathlib
from ctypes import (POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_float, c_int,
                    c_size_t, c_uint, c_uint8, c_uint32, c_uint64, c_void_p)

from .errors import UnavailableError, of_status

RESIZE = {"cover": 0, "contain": 1, "none": 2}
DEFAULT_LIMITS = (64 << 20, 64 << 20, 32768, 8 << 20, 100)


class ErrorRecord(Structure):
    _fields_ = [("status", c_int), ("message", c_char * 512)]


class Plane(Structure):
    _fields_ = [("name", c_char_p), ("first", c_uint32), ("count", c_uint32)]


class ModelInfo(Structure):
    _fields_ = [("name", c_char_p), ("architecture", c_char_p), ("checksum", c_char_p),
                ("downsampling", c_uint32), ("channels", c_uint32), ("planes", c_uint32),
                ("plane", POINTER(Plane)), ("codes", c_uint32), ("code_dimension", c_uint32),
                ("parameters", c_uint64), ("encode_flops", c_uint64), ("decode_flops", c_uint64),
                ("vector_dimension", c_uint32)]


class Code(Structure):
    _fields_ = [("word", c_char_p), ("part", c_int), ("training_count", c_uint64),
                ("vector", POINTER(c_float))]


class Image(Structure):
    _fields_ = [("pixels", POINTER(c_uint8)), ("width", c_uint32), ("height", c_uint32),
                ("channels", c_uint32)]


class Limits(Structure):
    _fields_ = [("bytes", c_uint64), ("pixels", c_uint64), ("side", c_uint32),
                ("chunk_bytes", c_uint32), ("scans", c_uint32)]


_Rows = POINTER(c_void_p)
_FUNCTIONS = {
    "vqct_version": (c_char_p, []),
    "vqct_status_name": (c_char_p, [c_int]),
    "vqct_model_open": (c_int, [c_char_p, POINTER(c_void_p), POINTER(ErrorRecord)]),
    "vqct_model_close": (None, [c_void_p]),
    "vqct_model_info": (POINTER(ModelInfo), [c_void_p]),
    "vqct_model_code": (c_bool, [c_void_p, c_uint32, POINTER(Code)]),
    "vqct_part_of_speech_name": (c_char_p, [c_int]),
    "vqct_session_new": (c_int, [c_void_p, c_uint, POINTER(c_void_p), POINTER(ErrorRecord)]),
    "vqct_session_free": (None, [c_void_p]),
    "vqct_encode": (c_int, [c_void_p, _Rows, c_size_t, c_uint32, c_uint32, _Rows,
                            POINTER(ErrorRecord)]),
    "vqct_decode": (c_int, [c_void_p, _Rows, c_size_t, c_uint32, c_uint32, _Rows,
                            POINTER(ErrorRecord)]),
    "vqct_image_decode": (c_int, [c_char_p, c_size_t, POINTER(Limits), POINTER(Image),
                                  POINTER(ErrorRecord)]),
    "vqct_image_resize": (c_int, [POINTER(Image), c_int, c_uint32, c_uint32, POINTER(Image),
                                  POINTER(ErrorRecord)]),
    "vqct_image_crop_to_multiple": (c_int, [POINTER(Image), c_uint32, POINTER(Image),
                                            POINTER(ErrorRecord)]),
    "vqct_image_free": (None, [POINTER(Image)]),
    "vqct_image_psnr": (c_int, [POINTER(Image), POINTER(Image), POINTER(c_double),
                                POINTER(ErrorRecord)]),
}


def _candidates():
    named = os.environ.get("VQCT_LIBRARY")
    if named:
        return [named]
    beside = sorted(str(path) for path in pathlib.Path(__file__).parent.glob("libvqct.so*"))
    return beside + ["libvqct.so.0", ctypes.util.find_library("vqct") or "libvqct.so"]


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The library, loaded when first needed. Raises UnavailableError, naming what was tried."""
    faults = []
    for name in _candidates():
        try:
            loaded = ctypes.CDLL(name)
            for function, (result, arguments) in _FUNCTIONS.items():
                entry = getattr(loaded, function)
                entry.restype, entry.argtypes = result, arguments
            return loaded
        except (OSError, AttributeError) as fault:
            faults.append(f"{name}: {fault}")
    raise UnavailableError("libvqct was not found (VQCT_LIBRARY may name its file): "
                           + "; ".join(faults))


def call(function: str, *arguments) -> None:
    """Calls a function whose last argument is the error record; raises what it reports."""
    record = ErrorRecord()
    status = getattr(library(), function)(*arguments, byref(record))
    if status != 0:
        name = library().vqct_status_name(status).decode()
        raise of_status(name, record.message.decode(errors="replace"))
