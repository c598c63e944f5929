"""What Model and Client take alike: one picture or several, each by its bytes or its path."""
import os
from typing import Any, List, Union

from .errors import ReadError

BYTES = (bytes, bytearray, memoryview)


def as_list(images: Any, *single: type) -> List[Any]:
    """The pictures of an argument that may be one: bytes, a path, or one of the `single` types."""
    return [images] if isinstance(images, (*BYTES, str, os.PathLike, *single)) else list(images)


def read(file: Union[bytes, str, "os.PathLike[str]"]) -> bytes:
    """The bytes of a picture's file. Raises ReadError, naming it."""
    if isinstance(file, BYTES):
        return bytes(file)
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as fault:
        raise ReadError(f"{os.fspath(file)}: {fault.strerror}") from fault
