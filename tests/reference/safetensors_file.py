"""safetensors files without the library that is tested: read, written, and those of priors."""
import json
import struct

import numpy as np

TYPES = {"float32": "F32", "float64": "F64", "float16": "F16", "uint8": "U8", "uint32": "U32",
         "int64": "I64", "uint64": "U64"}


def write_safetensors(path, tensors, metadata=None):
    """Writes arrays under their names."""
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    for name, array in arrays.items():
        header[name] = {"dtype": TYPES[str(array.dtype)], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(array.tobytes())


def read_safetensors(path):
    """(arrays by name, texts of the header)."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    texts = header.pop("__metadata__", {})
    kinds = {text: np.dtype(name).newbyteorder("<") for name, text in TYPES.items()}
    arrays = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        kind = kinds[entry["dtype"]]
        array = np.frombuffer(data, kind, (end - begin) // kind.itemsize, begin)
        arrays[name] = array.reshape(entry["shape"])
    return arrays, texts


def write_prior(path, adjectives, nouns, embeddings, edges, counts=None, provenance="{}"):
    """A prior: words, embeddings of their rows, edges of adjective, noun and weight; adjectives come
    first."""
    words = [*adjectives, *nouns]
    write_safetensors(path, {
        "words.text": np.frombuffer(b"".join(w.encode() + b"\0" for w in words), np.uint8),
        "words.part": np.array([0] * len(adjectives) + [1] * len(nouns), np.uint8),
        "words.count": np.asarray(counts or range(1, len(words) + 1), np.uint64),
        "embeddings": np.asarray(embeddings, np.float32),
        "edges": np.asarray(edges, np.uint32),
    }, {"format": "vqct-prior", "version": "1", "provenance": provenance})
