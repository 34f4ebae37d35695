"""Other wordings of a query, from a file or from a language model.

The weighted query augmentation of BMX (https://arxiv.org/abs/2408.06643) searches with a query and
with what a language model makes of it. Any server that speaks OpenAI's chat protocol will do; its
answers are kept, so a query is asked once.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from trivet.core.errors import ConfigError, DataError, TrivetError
from trivet.core.hashing import json_digest
from trivet.core.places import cache_folder
from trivet.core.progress import Progress
from trivet.core.tables import rows, text_field

PROMPT = (
    "A search engine finds documents by their words. Write {count} other queries for what this "
    "query wants to find, in words that the right documents may use. One query a line, and nothing "
    "else.\n\nQuery: {query}"
)
_MARK = re.compile(r"^\s*(?:[-*\u2022]|\d+[.):])\s+")  # of a list
_AGAIN = "Answers so far are kept: run again to go on"


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
        if not self.url.startswith(("http://", "https://")):
            fix = "Give an address such as http://127.0.0.1:8000/v1"
            raise ConfigError(f"{self.url} is no address", where="endpoint", fix=fix)
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            what, fix = f"{self.api_key_env} is not set", f"export {self.api_key_env}=…"
            raise ConfigError(what, where="api_key_env", fix=fix)

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
        answer = self._post({"model": self.model, "messages": messages, "temperature": 0})
        try:
            text = json.loads(answer)["choices"][0]["message"]["content"]
            lines = [_MARK.sub("", line).strip().strip('"') for line in text.splitlines()]
        except (ValueError, LookupError, TypeError, AttributeError):
            start = answer[:80].decode(errors="replace")
            what = f"its answer is not that of a chat model: {start!r}"
            raise TrivetError(what, where=self.url, fix="Check endpoint") from None
        found = [line for line in lines if line][: self.count]
        if not found:
            what = f"{self.model} answered nothing to {query!r}"
            raise TrivetError(what, where=self.url, fix="Use another model")
        return found

    def _post(self, body: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.api_key_env is not None:
            headers["Authorization"] = f"Bearer {os.environ[self.api_key_env]}"
        address = self.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        try:
            with _OPENER.open(request, timeout=self.timeout) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            denied = "Check api_key_env" if error.code in (401, 403) else "Check endpoint and model"
            fix = _AGAIN if error.code == 429 or error.code >= 500 else denied
            what = f"refused ({error.code} {error.reason})"
            raise TrivetError(what, where=address, fix=fix) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise TrivetError(f"cannot be reached ({reason})", where=address, fix=_AGAIN) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is meant for one server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


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
