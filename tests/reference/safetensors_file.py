"""Writing safetensors files without the library that reads them."""
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
