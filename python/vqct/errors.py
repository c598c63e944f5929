"""One exception class for each status of libvqct.

Each is a vqct.Error, and where Python has a word for the same fault also of that class, so that
`except ValueError` and `except MemoryError` do what a reader expects.
"""
from typing import Any, Dict, Type


class Error(Exception):
    """What libvqct or the service reports.

    status: the name of the status, such as "IMAGE". http_status, problem: of a service's answer,
    its status code and problem document (RFC 9457); else 0 and empty.
    """

    status = "INTERNAL"
    http_status: int = 0
    problem: Dict[str, Any] = {}


class InternalError(Error):
    """A fault of the library."""

    status = "INTERNAL"


class InvalidError(Error, ValueError):
    """An argument is wrong."""

    status = "INVALID"


class ReadError(Error, OSError):
    """An input cannot be read."""

    status = "READ"


class ImageError(Error, ValueError):
    """A picture cannot be decoded."""

    status = "IMAGE"


class ModelError(Error, ValueError):
    """A model file is damaged or does not fit."""

    status = "MODEL"


class TokensError(Error, ValueError):
    """Tokens are out of range, of the wrong shape or of another model."""

    status = "TOKENS"


class WriteError(Error, OSError):
    """An output cannot be written."""

    status = "WRITE"


class OutOfMemoryError(Error, MemoryError):
    """Memory is exhausted."""

    status = "MEMORY"


class LimitError(Error, ValueError):
    """An input is larger than the limits allow."""

    status = "LIMIT"


class PartialError(Error):
    """Some inputs failed; the others were done."""

    status = "PARTIAL"


class DataError(Error, ValueError):
    """A text input is damaged."""

    status = "DATA"


class NotFiniteError(Error, ArithmeticError):
    """A computation gave NaN or infinity."""

    status = "NOT_FINITE"


class InterruptedRunError(Error):
    """A computation was asked to stop."""

    status = "INTERRUPTED"


class UnavailableError(Error, ConnectionError):
    """A service cannot be reached or is not ready."""

    status = "UNAVAILABLE"


_CLASSES: Dict[str, Type[Error]] = {
    kind.status: kind
    for kind in (InternalError, InvalidError, ReadError, ImageError, ModelError, TokensError,
                 WriteError, OutOfMemoryError, LimitError, PartialError, DataError,
                 NotFiniteError, InterruptedRunError, UnavailableError)
}


def of_status(status: str, message: str) -> Error:
    """The exception for a status; of the base class where a newer library has one more."""
    error = _CLASSES.get(status, Error)(message)
    error.status = status
    return error
