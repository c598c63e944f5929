"""Files that `vqct encode` wrote, as sequences of arrays. docs/tokens.md describes them.

Arrays are mapped from the file, so that a set may be larger than memory.
"""
import collections.abc
import json
import os
import pathlib
from typing import Any, Dict, Iterator, List, Tuple, Union, overload

import numpy as np

from .errors import ReadError, TokensError

_TYPES = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}


class TokenSet(collections.abc.Sequence):
    """The pictures of a token file that have tokens: item i is an array P,h,w, read-only.

    about: the first line of the side file (model, checksum, planes, ...). pictures: its line for
    each item (image, row, offset, grid).
    """

    def __init__(self, about: Dict[str, Any], pictures: List[Dict[str, Any]], data: np.ndarray,
                 places: List[Tuple[int, Tuple[int, ...]]]):
        self.about, self.pictures = about, pictures
        self._data, self._places = data, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> List[np.ndarray]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[np.ndarray, List[np.ndarray]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        first, shape = self._places[index]
        return self._data[first:first + int(np.prod(shape))].reshape(shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def torch(self) -> Any:
        """The set as a torch.utils.data.Dataset of int64 tensors P,h,w."""
        import torch

        class Tokens(torch.utils.data.Dataset):  # type: ignore[misc]
            def __init__(self, tokens: "TokenSet"):
                self.tokens = tokens

            def __len__(self) -> int:
                return len(self.tokens)

            def __getitem__(self, index: int) -> Any:
                return torch.from_numpy(self.tokens[index].astype(np.int64))

        return Tokens(self)


def tokens(path: Union[str, "os.PathLike[str]"]) -> TokenSet:
    """Opens NAME.npy or NAME.bin with the NAME.jsonl beside it.

    Raises ReadError where a file cannot be read, TokensError where one says more than it holds.
    """
    file = pathlib.Path(path)
    about, pictures = _side_file(file.with_suffix(".jsonl"))
    if about.get("tokens") not in _TYPES or not isinstance(about.get("planes"), list):
        raise TokensError(f"{file.with_suffix('.jsonl')}: line 1 describes no tokens")
    kind, planes = _TYPES[about["tokens"]], len(about["planes"])
    try:
        if file.suffix == ".npy":
            array = np.load(file, mmap_mode="r", allow_pickle=False)
            if array.dtype != kind or array.ndim != 4 or array.shape[1] != planes:
                raise TokensError(f"{file}: {array.dtype} of shape {array.shape} is not what "
                                  "its .jsonl describes")
            data = array.reshape(-1)
        elif file.suffix == ".bin":
            whole = file.stat().st_size
            data = np.memmap(file, kind, "r") if whole else np.empty(0, kind)
        else:
            raise TokensError(f"{file}: not .npy or .bin")
    except (OSError, ValueError) as fault:
        if isinstance(fault, TokensError):
            raise
        raise ReadError(f"{file}: {fault}") from fault
    places = [_place(file, one, kind.itemsize, planes, len(data)) for one in pictures]
    return TokenSet(about, pictures, data, places)


def _side_file(path: pathlib.Path) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """The first line, and those of pictures that have tokens."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    except OSError as fault:
        raise ReadError(f"{path}: {fault.strerror}") from fault
    except ValueError as fault:
        raise TokensError(f"{path}: {fault}") from fault
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise TokensError(f"{path}: not lines of JSON objects")
    return lines[0], [line for line in lines[1:] if "offset" in line]


def _place(file: pathlib.Path, line: Dict[str, Any], size: int, planes: int,
           most: int) -> Tuple[int, Tuple[int, ...]]:
    """The first number of a picture and its shape, within the `most` numbers there are."""
    offset, grid = line.get("offset"), line.get("grid")
    sound = (isinstance(offset, int) and offset >= 0 and offset % size == 0
             and isinstance(grid, list) and len(grid) == 2
             and all(isinstance(side, int) and side > 0 for side in grid))
    if not sound or offset // size + planes * grid[0] * grid[1] > most:
        raise TokensError(f"{file}: it does not hold the tokens of {line.get('image')!r} that its "
                          ".jsonl tells of")
    return offset // size, (planes, grid[0], grid[1])
