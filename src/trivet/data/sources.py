"""A source: where rows come from, which columns mean what, and whether they can be trusted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trivet.core.artifact import checked_digest
from trivet.core.errors import ConfigError, DataError, nearest
from trivet.core.files import read_json
from trivet.core.hashing import file_digest, json_digest
from trivet.core.hub import hub_dataset, resolve_dataset
from trivet.core.places import cache_folder
from trivet.core.schema import unkeyed
from trivet.core.tables import is_table, rows
from trivet.data.beir import beir_files, beir_pairs
from trivet.data.columns import Columns
from trivet.data.join import TextsById, joined
from trivet.data.sample import sampled
from trivet.data.table import Kind, Record, Table, write_table
from trivet.data.texts import sentences, token_texts, tokenizer_file

log = logging.getLogger("trivet")

_VERSION = 1  # raised when the Arrow files of the same rows would differ
_TOLERANCE = 0.05  # of a published count, before a source is said to differ


@dataclass
class Source:
    """Rows from exactly one of a hub dataset, local files, a folder in BEIR layout, a tokenizer."""

    name: str
    """What the source is called in logs, manifests and error messages."""
    columns: Columns = field(default_factory=Columns)
    """Which columns hold the query, the documents, their scores, or a plain text."""
    hub: str | None = unkeyed(None)
    """A dataset on the Hugging Face hub."""
    subset: str | None = unkeyed(None)
    """The hub dataset's configuration."""
    revision: str = unkeyed("main")
    """The hub dataset's revision; a commit hash pins it."""
    path: str | list[str] | None = unkeyed(None)
    """A file, a list of files, a folder of files, or a folder that `datasets` saved."""
    made_by: str | None = unkeyed(None)
    """The command that makes what lies at `path`: plans show it, and the message when it is not
    there."""
    beir: str | None = unkeyed(None)
    """A folder in BEIR layout: each query with each of its relevant documents."""
    tokens: str | None = unkeyed(None)
    """A tokenizer (one that ships, a folder, a hub id), each of whose tokens is a text."""
    split: str = "train"
    """The split, of a hub dataset or a BEIR folder."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """What stands before a `query` and a `document`; without it the model's own prompts hold."""
    side: Literal["query", "document"] = "document"
    """What plain texts are: queries have the prompt and the length of queries."""
    sentences: bool = False
    """Plain texts are split: each of their sentences is a row."""
    rows: int | None = unkeyed(None)
    """How many rows its publisher counts, before any sampling: plans show it, opening checks it."""
    share: float | None = unkeyed(None)  # in the fingerprint, where it is given
    """A seeded sample of the rows, such as 0.08; null takes all of them."""
    query_texts: Source | None = unkeyed(None)  # in the fingerprint, where it is given
    """The texts of queries, with their ids: the rows' `query` column holds ids."""
    document_texts: Source | None = unkeyed(None)  # in the fingerprint, where it is given
    """The texts of documents, with their ids: the rows' columns of documents hold ids."""
    limit: int | None = None
    """Only the first so many rows, of the sample where there is one."""
    in_domain: bool = False
    """The rows are a bench's own train split, or resemble it: every number on it is marked."""
    _seen: dict[str, str] = field(default_factory=dict[str, str], init=False, repr=False)

    def __post_init__(self) -> None:
        """Exactly one origin, known sides, columns that fit."""
        origins = (self.hub, self.path, self.beir, self.tokens)
        if sum(origin is not None for origin in origins) != 1:
            raise ConfigError("give exactly one of hub, path, beir and tokens", where=self.name)
        pinned = self.revision != "main" and self.tokens is None
        if self.hub is None and (self.subset is not None or pinned):
            what = "subset and revision belong to a hub dataset"
            raise ConfigError(what, where=self.name, fix="Leave them out")
        if (self.beir is not None or self.tokens is not None) and self.columns.mapping():
            what = "a BEIR folder and a tokenizer have columns of their own"
            raise ConfigError(what, where="columns", fix="Leave them out")
        if self.path == []:
            raise ConfigError("the list names no file", where="path")
        if self.beir is None and self.tokens is None and self.columns.kind is None:
            fix = "Map query and positive, query and documents and scores, or text"
            raise ConfigError("no columns are mapped", where="columns", fix=fix)
        for name, plain in (("side", self.side == "document"), ("sentences", not self.sentences)):
            if self.kind != "texts" and not plain:
                raise ConfigError(f"belongs to plain texts, not to {self.kind}", where=name)
        if self.columns.id is not None and (self.sentences or self.side == "query"):
            what = "texts by id are whole, and on the side of the rows that name them"
            raise ConfigError(what, where=self.name, fix="Leave side and sentences out")
        for name, source in self.named_texts().items():
            if self.kind == "texts" or self.beir is not None:
                what = "plain texts and a BEIR folder name no ids"
                raise ConfigError(what, where=f"{name}_texts", fix="Leave it out")
            if source.columns.id is None:
                fix = "Map id and text"
                raise ConfigError("has no ids", where=f"{name}_texts.columns", fix=fix)
        for side in self.prompts:
            if side not in ("query", "document"):
                fix = "There is: query and document"
                raise ConfigError("no such side", where=f"prompts.{side}", fix=fix)
        for name in ("limit", "rows"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.share is not None and not 0 < self.share < 1:
            fix = "Leave it out to take every row"
            raise ConfigError("must lie between 0 and 1", where="share", fix=fix)

    @property
    def expected(self) -> int | None:
        """How many rows it should give, by its publisher's count, the share and the limit."""
        if self.rows is None:
            return None
        count = self.rows if self.share is None else round(self.rows * self.share)
        return count if self.limit is None else min(count, self.limit)

    @property
    def kind(self) -> Kind:
        """What a row is."""
        return "texts" if self.tokens is not None else self.columns.kind or "pairs"

    def fingerprint(self) -> str:
        """A name for the rows: the content of the files, or the hub's commit; and the share."""
        if "rows" not in self._seen:
            if self.hub is not None:
                commit = resolve_dataset(self.hub, self.revision)
                origin: Any = [self.hub, self.subset, commit]
            else:
                origin = [[self._digest(path), *path.suffixes[-2:]] for path in self._files()]
            digest = json_digest(origin)
            if self.share is not None:
                digest = json_digest([digest, "share", self.share])
            if named := {side: source._identity() for side, source in self.named_texts().items()}:
                digest = json_digest([digest, "texts", named])
            self._seen["rows"] = digest
        return self._seen["rows"]

    def _digest(self, path: Path) -> str:
        """A file's sha256; rows of an artifact must be as they were made."""
        if self.path is None:
            return file_digest(path)
        again = f"again: {self.made_by}" if self.made_by else "again with the same command"
        return checked_digest(path, f"Delete its folder and make it {again}")

    def _identity(self) -> list[Any]:
        """All that decides what its table holds."""
        identity: list[Any] = [_VERSION, self.fingerprint(), self.columns.mapping(), self.split]
        return [*identity, self.limit, self.side, self.sentences]

    def named_texts(self) -> dict[str, Source]:
        """Where the texts of ids stand, by side."""
        sides = {"query": self.query_texts, "document": self.document_texts}
        return {side: source for side, source in sides.items() if source is not None}

    def open(self, cache: Path | None = None) -> Table:
        """The rows in Arrow, converted and checked the first time they are asked for."""
        cache = cache or cache_folder()
        room = "data" if self.columns.id is None else "texts"
        folder = cache / room / json_digest(self._identity())[:24]
        if not (folder / "index.json").is_file():
            folder.parent.mkdir(parents=True, exist_ok=True)
            sides = {
                side: TextsById.open(source.open(cache), cache)
                for side, source in self.named_texts().items()
            }
            records = joined(self._records(), sides.get("query"), sides.get("document"))
            write_table(folder, records, self.kind, self.name)
        self._compare(read_json(folder / "index.json").get("seen"))
        return Table.open(folder, self.name, self.prompts, self.in_domain)

    def _compare(self, seen: int | None) -> None:
        """Say so where the rows are not as many as published; a limit ends the count early."""
        if self.rows is None or seen is None or self.limit is not None or self.sentences:
            return
        if abs(seen - self.rows) > _TOLERANCE * self.rows:
            log.warning("%s holds %d rows, published are %d", self.name, seen, self.rows)

    def _records(self) -> Iterator[Record | None]:
        """Its records, and None for a row outside the sample, which is not converted."""
        taken = 0
        for number, row in enumerate(self._origin()):
            if taken == self.limit:
                return
            if self.share is not None and not sampled(number, self.share):
                yield None
                continue
            for record in self._made(row):
                if taken == self.limit:
                    return
                taken += 1
                yield record

    def _origin(self) -> Iterator[Record | tuple[str, dict[str, Any]]]:
        """Records where they are made already, else rows and where they stand."""
        if self.beir is not None:
            yield from beir_pairs(self._folder(self.beir), self.split)
        elif self.tokens is not None:
            for text in token_texts(tokenizer_file(self.tokens, self.revision)):
                yield Record("", [text], [], self.name)
        else:
            yield from self._rows()

    def _made(self, row: Record | tuple[str, dict[str, Any]]) -> Iterator[Record]:
        """A row's record; of a plain text, or of its sentences, on the side where they stand."""
        ids = self.named_texts().keys()
        record = row if isinstance(row, Record) else self.columns.record(row[1], row[0], ids)
        if self.kind != "texts" or self.columns.id is not None:
            yield record
            return
        (text,) = record.documents
        for part in sentences(text) if self.sentences else [text]:
            if self.side == "query":
                yield Record(part, [], [], record.where)
            else:
                yield Record("", [part], [], record.where)

    def _rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.hub is not None:
            commit = resolve_dataset(self.hub, self.revision)
            for i, row in enumerate(hub_dataset(self.hub, self.subset, self.split, commit)):
                yield f"{self.hub} row {i}", row
        elif isinstance(self.path, str) and _saved(folder := Path(self.path).expanduser()):
            for i, row in enumerate(_load_saved(folder, self.split)):
                yield f"{folder} row {i}", row
        else:
            for path in self._files():
                for line, row in rows(path):
                    yield f"{path}:{line}", row

    def _files(self) -> list[Path]:
        if self.tokens is not None:
            return [tokenizer_file(self.tokens, self.revision)]
        if self.beir is not None:
            return beir_files(self._folder(self.beir), self.split)
        if isinstance(self.path, list):
            files = [Path(item).expanduser() for item in self.path]
            for item in files:
                if not item.is_file():
                    raise DataError("no such file", where=str(item))
            return files
        path = Path(str(self.path)).expanduser()
        if path.is_file():
            return [path]
        folder = self._folder(str(path))
        files = sorted(folder.rglob("*"))
        files = [item for item in files if item.is_file()]
        if not _saved(folder):
            files = [item for item in files if is_table(item)]
        if not files:
            fix = "It must hold .jsonl, .csv, .tsv or .parquet files"
            raise DataError("the folder holds no data files", where=str(path), fix=fix)
        return files

    def _folder(self, path: str | None) -> Path:
        folder = Path(str(path)).expanduser()
        if not folder.is_dir():
            fix = f"Make it: {self.made_by}" if self.made_by else ""
            raise DataError("no such file or folder", where=str(folder), fix=fix)
        return folder


def _saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _load_saved(folder: Path, split: str) -> Any:
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:  # TypeError: a state without files
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "Save the dataset again with save_to_disk"
        what = f"not a dataset that was saved whole ({why})"
        raise DataError(what, where=str(folder), fix=fix) from None
    if isinstance(found, DatasetDict):
        if split not in found:
            raise DataError(
                f"no split {split}", where=str(folder), fix=nearest(split, map(str, found))
            )
        return found[split]
    return found
