"""Files that `vqct encode` wrote, as sequences of arrays. docs/tokens.md describes them.

Arrays are mapped from the file, so that a set may be larger than memory.
"""
import collections.abc
import json
import mmap
import os
import pathlib
import re
import tarfile
from typing import Any, Callable, Dict, Iterator, List, Tuple, Union, overload

import numpy as np

from .errors import ReadError, TokensError

_NPY_HEADER = 256  # bytes before the numbers of a member

_TYPES = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}


class _Layout:
    """How a picture's numbers lie: docs/tokens.md, "The order of a picture's numbers"."""

    def __init__(self, about: Dict[str, Any]):
        layout = about.get("layout", {"order": "planes", "offset": 0})
        if not isinstance(layout, dict) or layout.get("order") not in ("planes", "interleaved") or \
                not all(isinstance(layout.get(key, 0), int) and layout.get(key, 0) >= 0
                        for key in ("offset", "begin", "end", "row_end")):
            raise TokensError('its .jsonl has a "layout" that is none')
        self.interleaved, self.offset = layout["order"] == "interleaved", layout.get("offset", 0)
        self.begin, self.end, self.row_end = (key in layout for key in ("begin", "end", "row_end"))

    def _rows(self, planes: int, height: int, width: int) -> Tuple[int, int]:
        """Rows and the numbers of each, without its end."""
        return (height, width * planes) if self.interleaved else (planes * height, width)

    def length(self, planes: int, height: int, width: int) -> int:
        rows, row = self._rows(planes, height, width)
        return rows * (row + self.row_end) + self.begin + self.end

    def undo(self, numbers: np.ndarray, planes: int, height: int, width: int) -> np.ndarray:
        """The tokens P,h,w; a view where no number was added to them."""
        rows, row = self._rows(planes, height, width)
        grid = numbers[self.begin:len(numbers) - self.end].reshape(rows, -1)[:, :row]
        shaped = grid.reshape(height, width, planes).transpose(2, 0, 1) if self.interleaved \
            else grid.reshape(planes, height, width)
        return shaped - shaped.dtype.type(self.offset) if self.offset else shaped


class TokenSet(collections.abc.Sequence):
    """The pictures of a token file that have tokens: item i is an array P,h,w, read-only unless an
    offset had to be taken off.

    path: what was opened. about: the first line of the side file (model, checksum, planes, ...).
    pictures: its line for each item (image, row, offset, grid, and label and class where `--labels`
    gave them).
    """

    def __init__(self, path: pathlib.Path, about: Dict[str, Any], pictures: List[Dict[str, Any]],
                 layout: _Layout, shapes: List[Tuple[int, int, int]],
                 read: Callable[[int], np.ndarray]):
        self.path, self.about, self.pictures = path, about, pictures
        self._layout, self._shapes, self._read = layout, shapes, read

    def __reduce__(self) -> Tuple[Any, ...]:
        """For the workers of a DataLoader, which open the set anew."""
        return tokens, (self.path,)

    @property
    def labels(self) -> List[str]:
        """The label of each class; empty without `--labels`."""
        return list(self.about.get("labels", []))

    @property
    def classes(self) -> np.ndarray:
        """The class of each item, int64. Raises TokensError where the set has no labels."""
        found = [one.get("class") for one in self.pictures]
        if not all(isinstance(one, int) and 0 <= one < len(self.labels) for one in found):
            raise TokensError("its .jsonl has no class for each picture: encode --labels gives them")
        return np.array(found, np.int64)

    def __len__(self) -> int:
        return len(self._shapes)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> List[np.ndarray]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[np.ndarray, List[np.ndarray]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._layout.undo(self.sequence(index), *self._shapes[index])

    def sequence(self, index: int) -> np.ndarray:
        """The numbers of item `index` as they lie in the file, marks and offset included."""
        return self._read(range(len(self))[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def torch(self, sequences: bool = False) -> Any:
        """The set as a torch.utils.data.Dataset of int64 tensors: P,h,w, or, for a language model, the
        numbers as they lie in the file."""
        import torch

        class Tokens(torch.utils.data.Dataset):  # type: ignore[misc]
            def __init__(self, tokens: "TokenSet"):
                self.tokens = tokens

            def __reduce__(self) -> Tuple[Any, ...]:
                return TokenSet.torch, (self.tokens, sequences)

            def __len__(self) -> int:
                return len(self.tokens)

            def __getitem__(self, index: int) -> Any:
                numbers = self.tokens.sequence(index) if sequences else self.tokens[index]
                return torch.from_numpy(numbers.astype(np.int64))

        return Tokens(self)


def tokens(path: Union[str, "os.PathLike[str]"]) -> TokenSet:
    """Opens what `vqct encode -o PATH` wrote, with the NAME.jsonl beside it: NAME.npy, .bin, .idx
    (Megatron-LM), .ds (datatrove), .tokens.jsonl, .tar (the shards NAME-000000.tar and so on),
    .mds (MosaicML's folder). With --buckets NAME.npy stands for NAME-256x256.npy and so on.

    Raises ReadError where a file cannot be read, TokensError where one says more than it holds.
    """
    file = pathlib.Path(path)
    lines = file.name.endswith(".tokens.jsonl")
    beside = file.with_name(file.name[:-len(".tokens.jsonl")] + ".jsonl") if lines \
        else file.with_suffix(".jsonl")
    try:
        about, pictures = _side_file(beside)
    except ReadError as fault:
        raise ReadError(f"{file}: the .jsonl beside it tells where its pictures are: {fault}") from fault
    name, planes, labels = about.get("tokens"), about.get("planes"), about.get("labels", [])
    if not isinstance(name, str) or name not in _TYPES or not isinstance(planes, list) or not planes or \
            not isinstance(labels, list):
        raise TokensError(f"{beside}: line 1 describes no tokens")
    kind, layout = _TYPES[name], _Layout(about)
    if layout.offset > np.iinfo(kind).max:
        raise TokensError(f"{beside}: line 1: an \"offset\" above all that {name} holds")
    shapes = [_shape(file, one, len(planes)) for one in pictures]
    lengths = [layout.length(*shape) for shape in shapes]
    read = _lines if lines else \
        {".tar": _members, ".mds": _samples}.get(file.suffix, _array)
    return TokenSet(file, about, pictures, layout, shapes, read(file, kind, pictures, lengths))


def _array(file: pathlib.Path, kind: np.dtype, pictures: List[Dict[str, Any]],
           lengths: List[int]) -> Callable[[int], np.ndarray]:
    """Numbers that stand together in one file, or in one of each size (--buckets)."""
    files: Dict[str, np.ndarray] = {}
    places: List[Tuple[np.ndarray, int]] = []
    for one, length in zip(pictures, lengths):
        bucket, offset = one.get("bucket", ""), one.get("offset")
        if not isinstance(bucket, str) or not re.fullmatch(r"(\d{1,5}x\d{1,5})?", bucket):
            raise _missing(file, one)
        if bucket not in files:
            files[bucket] = _numbers(_of_bucket(file, bucket), kind)
            if file.suffix in (".idx", ".ds"):
                _check_index(_of_bucket(file, bucket), file.suffix == ".ds", kind, len(files[bucket]))
        if not isinstance(offset, int) or offset < 0 or offset % kind.itemsize or \
                offset // kind.itemsize + length > len(files[bucket]):
            raise _missing(_of_bucket(file, bucket), one)
        places.append((files[bucket], offset // kind.itemsize))
    return lambda i: places[i][0][places[i][1]:places[i][1] + lengths[i]]


def _of_bucket(file: pathlib.Path, bucket: str) -> pathlib.Path:
    """The file of numbers of a bucket, "" where there is one of all."""
    return file.with_name(file.stem + (bucket and "-") + bucket +
                          (".bin" if file.suffix == ".idx" else file.suffix))


def _check_index(file: pathlib.Path, is_datatrove: bool, kind: np.dtype, count: int) -> None:
    """Raises TokensError where the index of a file of `count` numbers tells of others."""
    index = file.with_name(file.name + ".index") if is_datatrove else file.with_suffix(".idx")
    data = bytes(_mapped(index)[:])
    try:
        ends = np.frombuffer(data, "<u8") if is_datatrove else _megatron_ends(data, kind)
    except ValueError as fault:
        raise TokensError(f"{index}: {fault}") from fault
    if np.any(ends[1:] < ends[:-1]) or (ends[-1] if len(ends) else 0) != count:
        raise TokensError(f"{index}: it tells of other numbers than the {count} of its file")


def _megatron_ends(data: bytes, kind: np.dtype) -> np.ndarray:
    """Where each sequence ends, in numbers. Raises ValueError where the index is none."""
    if data[:18] != b"MMIDIDX\0\0" + bytes([1, 0, 0, 0, 0, 0, 0, 0, 8 if kind.itemsize == 2 else 4]):
        raise ValueError(f"not an index of {kind}")
    sequences, entries = (int.from_bytes(data[at:at + 8], "little") for at in (18, 26))
    if len(data) != 34 + 12 * sequences + 8 * entries:
        raise ValueError(f"{len(data)} bytes do not hold {sequences} sequences and {entries} documents' places")
    ends = np.cumsum(np.frombuffer(data, "<u4", sequences, 34), dtype=np.uint64)
    places = np.frombuffer(data, "<u8", sequences, 34 + 4 * sequences)
    documents = np.frombuffer(data, "<u8", entries, 34 + 12 * sequences)
    if not np.array_equal(places[1:], ends[:-1] * np.uint64(kind.itemsize)) or places[:1].any():
        raise ValueError("its sequences do not follow one another")
    if not entries or documents[0] or documents[-1] != sequences or np.any(documents[1:] <= documents[:-1]):
        raise ValueError("its documents are not those of its sequences")
    return ends


def _lines(file: pathlib.Path, kind: np.dtype, pictures: List[Dict[str, Any]],
           lengths: List[int]) -> Callable[[int], np.ndarray]:
    """Numbers in lines of JSON, each read when it is asked for."""
    data, most = _mapped(file), np.iinfo(kind).max

    def read(i: int) -> np.ndarray:
        first, size = pictures[i].get("offset"), pictures[i].get("bytes")
        if isinstance(first, int) and isinstance(size, int) and 0 <= first <= len(data) - size:
            try:
                found = json.loads(data[first:first + size])["tokens"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise _missing(file, pictures[i]) from None
            if isinstance(found, list) and len(found) == lengths[i] and \
                    set(map(type, found)) == {int} and min(found) >= 0 and max(found) <= most:
                return np.array(found, kind)
        raise _missing(file, pictures[i])

    return read


def _members(file: pathlib.Path, kind: np.dtype, pictures: List[Dict[str, Any]],
             lengths: List[int]) -> Callable[[int], np.ndarray]:
    """Numbers in the .npy members of shards; picture i is the i-th of them."""
    places: List[Tuple[Any, int, int]] = []
    shards = 0
    while len(places) < len(pictures):
        shard = file.with_name(f"{file.stem}-{shards:06d}.tar")
        data = _mapped(shard)
        try:
            with tarfile.open(shard, "r:") as tar:
                places += [(data, one.offset_data, one.size) for one in tar if one.name.endswith(".npy")]
        except (tarfile.TarError, ValueError, OverflowError, OSError) as fault:
            raise TokensError(f"{shard}: {fault}") from fault
        shards += 1

    def read(i: int) -> np.ndarray:
        data, first, size = places[i]
        if data[first:first + 6] != b"\x93NUMPY" or first + size > len(data) or \
                size != _NPY_HEADER + lengths[i] * kind.itemsize:
            raise _missing(file, pictures[i])
        return np.frombuffer(data, kind, lengths[i], first + _NPY_HEADER)

    return read


def _samples(file: pathlib.Path, kind: np.dtype, pictures: List[Dict[str, Any]],
             lengths: List[int]) -> Callable[[int], np.ndarray]:
    """Numbers at the end of MosaicML's samples."""
    index = file / "index.json"
    try:
        shards = [(one["raw_data"]["basename"], one["samples"])
                  for one in json.loads(bytes(_mapped(index)[:]))["shards"]]
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise TokensError(f"{index}: {fault!r}") from fault
    places: List[Tuple[Any, int, int]] = []
    for name, samples in shards:
        if not isinstance(name, str) or not name or "/" in name or not isinstance(samples, int) or samples < 0:
            raise TokensError(f"{index}: a shard of {samples!r} samples called {name!r}")
        data = _mapped(file / name)
        if len(data) < 4 * (samples + 2):
            raise TokensError(f"{file / name}: it does not hold {samples} samples")
        ends = np.frombuffer(data, "<u4", samples + 1, 4).tolist()
        places += [(data, begin, end) for begin, end in zip(ends, ends[1:])]
    if len(places) != len(pictures):
        raise TokensError(f"{index}: {len(places)} samples; its .jsonl tells of {len(pictures)}")

    def read(i: int) -> np.ndarray:
        data, begin, end = places[i]
        first = end - lengths[i] * kind.itemsize
        if not begin < first <= end <= len(data):
            raise _missing(file, pictures[i])
        return np.frombuffer(data, kind, lengths[i], first)

    return read


def _mapped(file: pathlib.Path) -> Any:
    """A file's bytes, mapped."""
    try:
        with open(file, "rb") as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) \
                if file.stat().st_size else b""
    except OSError as fault:
        raise ReadError(f"{file}: {fault.strerror}") from fault


def _missing(file: pathlib.Path, line: Dict[str, Any]) -> TokensError:
    return TokensError(f"{file}: it does not hold the tokens of {line.get('image')!r} that its "
                       ".jsonl tells of")


def _numbers(file: pathlib.Path, kind: np.dtype) -> np.ndarray:
    """All numbers of a file, mapped."""
    if file.suffix == ".npy":
        return _npy(file, kind)
    if file.suffix not in (".bin", ".ds"):
        raise TokensError(f"{file}: not what `vqct encode` writes")
    try:
        count = file.stat().st_size // kind.itemsize
        return np.memmap(file, kind, "r", shape=(count,)) if count else np.empty(0, kind)
    except OSError as fault:
        raise ReadError(f"{file}: {fault.strerror}") from fault


def _npy(file: pathlib.Path, kind: np.dtype) -> np.ndarray:
    """The numbers of an array, mapped."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError as fault:
        raise ReadError(f"{file}: {fault.strerror}") from fault
    except Exception as fault:  # a damaged header fails in numpy in many ways, tokenize's among them
        raise TokensError(f"{file}: not a whole array: {fault}") from fault
    if not isinstance(array, np.ndarray) or array.dtype != kind:
        raise TokensError(f"{file}: not an array of {kind}, which its .jsonl describes")
    return array.reshape(-1)


def _side_file(path: pathlib.Path) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """The first line, and those of pictures that have tokens."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    except OSError as fault:
        raise ReadError(f"{path}: {fault.strerror}") from fault
    except (ValueError, RecursionError) as fault:
        raise TokensError(f"{path}: {fault}") from fault
    if not lines or not all(isinstance(line, dict) for line in lines):
        raise TokensError(f"{path}: not lines of JSON objects")
    pictures = [line for line in lines[1:] if "row" in line]
    totals = lines[-1] if "passed_over" in lines[-1] else None
    if not totals and "format" in lines[0]:
        raise TokensError(f"{path}: it is cut off: its last line, of totals, is missing")
    if totals and totals.get("views", totals.get("pictures")) != len(pictures):
        raise TokensError(f"{path}: its last line counts other pictures than the lines before it")
    return lines[0], pictures


def _shape(file: pathlib.Path, line: Dict[str, Any], planes: int) -> Tuple[int, int, int]:
    grid = line.get("grid")
    if not isinstance(grid, list) or len(grid) != 2 or \
            not all(isinstance(side, int) and side > 0 for side in grid):
        raise _missing(file, line)
    return planes, grid[0], grid[1]
