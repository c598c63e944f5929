"""The library's inner functions for Python tests: the records that kernels run with, and arrays."""
import ctypes
import os

import numpy as np

from safetensors_file import write_safetensors  # noqa: F401 (tests take it from here)

LIB = ctypes.CDLL(os.path.join(os.environ["VQCT_BUILD"], "libvqct-internal.so"))
FLOATS = ctypes.POINTER(ctypes.c_float)
DOUBLES = ctypes.POINTER(ctypes.c_double)
UINTS = ctypes.POINTER(ctypes.c_uint32)


class Arena(ctypes.Structure):
    _fields_ = [("first", ctypes.c_void_p), ("current", ctypes.c_void_p),
                ("limit", ctypes.c_size_t), ("total", ctypes.c_size_t),
                ("held", ctypes.c_size_t), ("peak", ctypes.c_size_t)]


class Exec(ctypes.Structure):
    _fields_ = [("pool", ctypes.c_void_p), ("arena", ctypes.POINTER(Arena)),
                ("simd", ctypes.c_void_p), ("stop", ctypes.c_void_p)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("message", ctypes.c_char * 512)]


class ParameterStart(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("mean", ctypes.c_double), ("spread", ctypes.c_double)]


class Parameter(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 64), ("dims", ctypes.c_int), ("shape", ctypes.c_int * 4),
                ("count", ctypes.c_size_t), ("offset", ctypes.c_size_t),
                ("start", ParameterStart)]


class ParameterList(ctypes.Structure):
    _fields_ = [("parameter", ctypes.POINTER(Parameter)), ("count", ctypes.c_size_t),
                ("capacity", ctypes.c_size_t), ("total", ctypes.c_size_t),
                ("largest", ctypes.c_size_t), ("failed", ctypes.c_bool)]

    def __iter__(self):
        return (self.parameter[i] for i in range(self.count))


class Team:
    """A pool, an arena and the exec of both; use in a with statement."""

    def __init__(self, threads=2):
        self.threads = threads

    def __enter__(self):
        self.arena = Arena()
        LIB.arena_init(ctypes.byref(self.arena), ctypes.c_size_t(0))
        self.pool = ctypes.c_void_p()
        assert LIB.pool_new(self.threads, ctypes.byref(self.pool), None) == 0
        return ctypes.pointer(Exec(self.pool, ctypes.pointer(self.arena), None))

    def __exit__(self, *_):
        LIB.pool_free(self.pool)
        LIB.arena_free(ctypes.byref(self.arena))


def floats(array):
    """An array as a C pointer; None stays NULL. The array must be contiguous float32."""
    if array is None:
        return None
    assert array.dtype == np.float32 and array.flags.c_contiguous
    return array.ctypes.data_as(FLOATS)


def doubles(array):
    assert array.dtype == np.float64 and array.flags.c_contiguous
    return array.ctypes.data_as(DOUBLES)


def nhwc(tensor):
    """A PyTorch tensor N,C,H,W as a float32 array N,H,W,C."""
    return np.ascontiguousarray(tensor.detach().permute(0, 2, 3, 1).numpy(), dtype=np.float32)


def relative(ours, theirs):
    """The largest error as a part of the largest value."""
    theirs = np.asarray(theirs)
    return np.abs(np.asarray(ours) - theirs).max() / max(np.abs(theirs).max(), 1e-30)
