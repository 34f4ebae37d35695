"""Other wordings of a query, from a file or from a language model.

The weighted query augmentation of BMX (https://arxiv.org/abs/2408.06643) searches with a query and
with what a language model makes of it. Any server that speaks OpenAI's chat protocol will do; its
answers are kept, so a query is asked once.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trivet.core.errors import DataError, TrivetError
from trivet.core.hashing import json_digest
from trivet.core.places import cache_folder
from trivet.core.progress import Progress
from trivet.core.tables import rows, text_field
from trivet.retrieval.server import Server

PROMPT = (
    "A search engine finds documents by their words. Write {count} other queries for what this "
    "query wants to find, in words that the right documents may use. One query a line, and nothing "
    "else.\n\nQuery: {query}"
)
_MARK = re.compile(r"^\s*(?:[-*\u2022]|\d+[.):])\s+")  # of a list


def read_augmented(path: Path) -> dict[str, list[str]]:
    """Augmented queries by query id, from rows with `query-id` (or `_id`) and `augmented`."""
    found: dict[str, list[str]] = {}
    for number, row in rows(path):
        where = f"{path}:{number}"
        name = text_field(row, "query-id" if "query-id" in row else "_id", where)
        texts = row.get("augmented")
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise DataError("augmented is not a list of texts", where=where)
        if name in found:
            raise DataError(f"a second row for query {name}", where=where)
        found[name] = cast("list[str]", texts)
    return found


@dataclass(frozen=True)
class Endpoint:
    """A chat model behind an address."""

    url: str  # such as http://127.0.0.1:8000/v1
    model: str
    api_key_env: str | None  # the variable that holds the key
    count: int  # queries asked for
    timeout: float = 120.0

    def __post_init__(self) -> None:
        """An address of the web, and a key where one is named."""
        self._server()

    def __call__(self, queries: list[str]) -> list[list[str]]:
        """The augmented queries of each query, asked for where they are not kept."""
        path = cache_folder() / "augmented" / f"{self._key()}.jsonl"
        kept = _read_kept(path)
        new = [query for query in dict.fromkeys(queries) if query not in kept]
        with Progress("augment", len(new), "query") as progress:
            for query in new:
                kept[query] = self._ask(query)
                path.parent.mkdir(parents=True, exist_ok=True)
                row = json.dumps({"query": query, "augmented": kept[query]})
                with path.open("ab", buffering=0) as stream:
                    stream.write(f"\n{row}\n".encode())  # apart from a line that was torn
                progress.add(1)
        return [kept[query] for query in queries]

    def _key(self) -> str:
        return json_digest([self.model, PROMPT, self.count])[:16]

    def _ask(self, query: str) -> list[str]:
        prompt = PROMPT.format(count=self.count, query=query)
        messages = [{"role": "user", "content": prompt}]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        answer = self._server().post("chat/completions", body)
        try:
            text = json.loads(answer)["choices"][0]["message"]["content"]
            lines = [_MARK.sub("", line).strip().strip('"') for line in text.splitlines()]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise self._server().misunderstood(answer, "a chat model") from None
        found = [line for line in lines if line][: self.count]
        if not found:
            what = f"{self.model} answered nothing to {query!r}"
            raise TrivetError(what, where=self.url, fix="Use another model")
        return found

    def _server(self) -> Server:
        return Server(self.url, self.api_key_env, self.timeout)


def _read_kept(path: Path) -> dict[str, list[str]]:
    """What was answered before; a torn line is asked for again."""
    kept: dict[str, list[str]] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
            kept[row["query"]] = row["augmented"]
        except (ValueError, LookupError, TypeError):
            continue
    return kept
