"""Arrays of a safetensors file where they lie on disk: read when they are looked at.

Such a file is named with its checksum, `<name>.<16 digits>.safetensors`, written aside and renamed
last: one that was cut off in the middle is not there, and one that has changed is found out.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.core.files import sync_folder

_TYPES = {"F16": np.float16, "F32": np.float32, "I32": np.int32, "I64": np.int64}


def mapped(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """All arrays of a file by name, and its metadata. What is written to an array stays in memory.

    The file may be removed while they are used.
    """
    with path.open("rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    facts = header.pop("__metadata__", {})
    found = {
        name: np.ndarray(
            entry["shape"], _TYPES[entry["dtype"]], data, 8 + size + entry["data_offsets"][0]
        )
        for name, entry in header.items()
    }
    return found, facts


def write(folder: Path, name: str, arrays: Mapping[str, NDArray[Any]], facts: Any) -> Path:
    """Write arrays whole, nothing copied; `facts` stand in the metadata under `trivet`."""
    header: dict[str, Any] = {"__metadata__": {"trivet": json.dumps(facts)}}
    end = 0
    for label, array in arrays.items():
        kind = next(kind for kind, type_ in _TYPES.items() if array.dtype == type_)
        span = [end, end + array.nbytes]
        header[label] = {"dtype": kind, "shape": list(array.shape), "data_offsets": span}
        end = span[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that numbers lie where a machine wants them
    digest = hashlib.sha256()
    aside = folder / f".{name}.{os.getpid()}.part"
    try:
        with aside.open("wb") as stream:
            for part in (len(text).to_bytes(8, "little"), text, *map(_bytes, arrays.values())):
                digest.update(part)
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        path = folder / f"{name}.{digest.hexdigest()[:16]}.safetensors"
        aside.replace(path)
        sync_folder(folder)
    finally:
        aside.unlink(missing_ok=True)
    return path


def is_sound(path: Path) -> bool:
    """Whether a file's bytes are those that its name was made from."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return path.name.split(".")[1] == digest[:16]


def _bytes(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
