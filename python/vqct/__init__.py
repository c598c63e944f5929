"""vqct: images to discrete tokens and back.

    import vqct
    model = vqct.Model("vqct-small.safetensors")
    tokens = model.encode(["a.jpg", "b.png"], size=256)   # N,P,h,w
    pictures = model.decode(tokens)                       # uint8 N,H,W,C

    for sequence in vqct.tokens("tokens.npy"): ...        # a file that `vqct encode` wrote
    vqct.Client("http://127.0.0.1:8080").encode("a.jpg")  # the service
"""
from ._library import library as _load
from .client import Client
from .errors import (DataError, Error, ImageError, InternalError, InterruptedRunError, InvalidError,
                     LimitError, ModelError, NotFiniteError, OutOfMemoryError, PartialError,
                     ReadError, TokensError, UnavailableError, WriteError)
from .model import Info, Model, Plane
from .token_sets import TokenSet, tokens

__all__ = [
    "Client", "DataError", "Error", "ImageError", "Info", "InternalError", "InterruptedRunError",
    "InvalidError", "LimitError", "Model", "ModelError", "NotFiniteError", "OutOfMemoryError",
    "PartialError", "Plane", "ReadError", "TokenSet", "TokensError", "UnavailableError",
    "WriteError", "library_version", "tokens",
]


def library_version() -> str:
    """The version of the libvqct in use, such as "0.2.0"."""
    return _load().vqct_version().decode()
