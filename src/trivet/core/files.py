"""Files that are whole or not there: written aside, synced, then renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trivet.core.errors import TrivetError
from trivet.core.lease import began

_CHUNK = 1 << 20


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write and sync one file."""
    write_pieces(path, [data])


def write_pieces(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write and sync one file, a piece at a time: so is every byte of a checkpoint written."""
    with path.open("wb") as stream:
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(view), _CHUNK):
                stream.write(view[start : start + _CHUNK])
        stream.flush()
        os.fsync(stream.fileno())


def write_json(path: Path, value: Any, *, indent: int | None = 2, ordered: bool = True) -> None:
    """Write a JSON file whole: aside first, then renamed over the old one.

    Without `ordered` keys stay as they come, which in a composed config is the order of stages.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    text = json.dumps(value, indent=indent, sort_keys=ordered, allow_nan=False) + "\n"
    write_bytes(aside, text.encode())
    aside.replace(path)
    sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """Read a JSON file; a broken one is named."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TrivetError(f"not a JSON file ({error})", where=str(path)) from None


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A folder that appears under its name only when the block ends well.

    The block writes into a folder beside it, whose name says that it is unfinished. What an
    earlier, killed attempt left there is removed first; another process may write the same folder
    meanwhile, and the last one to end has its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    leftover = re.compile(rf"\.{re.escape(path.name)}\.(\d+)(\.old)?\.part")
    for item in path.parent.iterdir():
        found = leftover.fullmatch(item.name)
        if found and (int(found[1]) == os.getpid() or not began(int(found[1]))):
            shutil.rmtree(item, ignore_errors=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.part")
    aside.mkdir()
    try:
        yield aside
        for folder in [aside, *(item for item in aside.rglob("*") if item.is_dir())]:
            sync_folder(folder)
        _put(aside, path, old)
        sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise TrivetError("the disk is full", where=str(path), fix="Free some space") from None
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _put(aside: Path, path: Path, old: Path) -> None:
    """Give a folder its name; what has it now is moved away whole, never half deleted under it."""
    while True:
        with suppress(FileNotFoundError):
            path.rename(old)
        try:
            aside.rename(path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(old, ignore_errors=True)  # another process was quicker: once more
