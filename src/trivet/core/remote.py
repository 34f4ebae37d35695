"""Artifacts and ledger rows on object storage (`s3://…`), for machines that share no disk.

An object appears whole or not at all, but a folder of them does not. So an artifact's files go
under a name that nobody else uses, and one object, written last, says where they are: two who make
the same artifact leave two whole ones, of which one is found. A ledger row is an object of its own:
however many write at once, none is lost or torn. What speaks S3 is fsspec's.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trivet.core.errors import ConfigError, TrivetError
from trivet.core.files import sync_folder, write_bytes
from trivet.core.hashing import file_digest

log = logging.getLogger("trivet")


@dataclass
class Remote:
    """A place on an object store that fsspec can reach, such as `s3://bucket/prefix`."""

    url: str

    @cached_property
    def _place(self) -> tuple[Any, str]:
        import fsspec

        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            fix = "pip install 'trivet[s3]'" if self.url.startswith("s3:") else "See fsspec's list"
            what = f"cannot be reached: {error}"
            raise ConfigError(what, where=f"machine.remote={self.url}", fix=fix) from None
        return found

    def push(self, folder: Path, *, last: str) -> None:
        """Send a finished folder; the file named `last` says that it is whole. Once is enough."""
        name = folder.name
        if self._get(f"artifacts/{name}.json") is not None:
            return
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        at = f"files/{name}/{uuid.uuid4().hex}"
        digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
        for path in files:
            self._put(f"{at}/{path.relative_to(folder).as_posix()}", path)
        if last not in digests:
            raise TrivetError(f"no {last}: not finished", where=str(folder))
        self._write(f"artifacts/{name}.json", {"files_at": at, "files": digests})

    def pull(self, folder: Path) -> bool:
        """Fetch a folder of that name, if it is there; every byte is checked."""
        found = self._get(f"artifacts/{folder.name}.json")
        if found is None:
            return False
        aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.pull")
        try:
            self._fetch_all(json.loads(found), aside)
            if not folder.exists():
                with suppress(OSError):  # another process has fetched it meanwhile
                    aside.rename(folder)
                    sync_folder(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        log.info("%s: fetched from %s", folder.name, self.url)
        return True

    def _fetch_all(self, note: dict[str, Any], to: Path) -> None:
        for name, digest in note["files"].items():
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = self._get(f"{note['files_at']}/{name}")
            if data is not None:
                write_bytes(path, data)
            if data is None or file_digest(path) != digest:
                where = f"{self.url}/{note['files_at']}/{name}"
                raise TrivetError("is missing or was changed", where=where)

    def add_row(self, row: dict[str, Any], folder: Path) -> None:
        """Send a ledger row; the files that it names lie in the ledger's folder, and go first."""
        for name in (row["per_query"], row["ranking"]):
            self._put(f"ledger/{name}", folder / name)
        self._write(f"ledger/rows/{row['id']}.json", row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All rows, in the order of their times."""
        fs, root = self._place
        fs.invalidate_cache()
        names = fs.ls(f"{root}/ledger/rows", detail=False) if self._any() else []
        found = [json.loads(fs.cat_file(name)) for name in names]
        yield from sorted(found, key=lambda row: (row["time"], row["id"]))

    def fetch(self, name: str, to: Path) -> None:
        """A file that a row names, whole."""
        data = self._get(f"ledger/{name}")
        if data is None:
            raise TrivetError("is missing", where=f"{self.url}/ledger/{name}")
        to.parent.mkdir(parents=True, exist_ok=True)
        aside = to.with_name(f".{to.name}.{uuid.uuid4().hex}.part")
        write_bytes(aside, data)
        aside.replace(to)

    def _any(self) -> bool:
        fs, root = self._place
        return bool(fs.exists(f"{root}/ledger/rows"))

    def _get(self, name: str) -> bytes | None:
        fs, root = self._place
        try:
            return bytes(fs.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None

    def _put(self, name: str, path: Path) -> None:
        fs, root = self._place
        fs.put_file(str(path), f"{root}/{name}")

    def _write(self, name: str, value: Any) -> None:
        """One object: it is there with all its bytes, or not."""
        fs, root = self._place
        fs.pipe_file(f"{root}/{name}", json.dumps(value, sort_keys=True).encode())
