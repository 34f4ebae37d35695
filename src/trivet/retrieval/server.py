"""A server that speaks OpenAI's protocol: how it is asked, and what is said where it fails.

The key is read from a variable of the environment when it is needed and is written nowhere.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from trivet.core.errors import ConfigError, TrivetError

_AGAIN = "Answers so far are kept: run again to go on"


@dataclass(frozen=True)
class Server:
    """An address, and the key to it."""

    url: str  # such as http://127.0.0.1:8000/v1
    api_key_env: str | None  # the variable that holds the key
    timeout: float = 120.0
    retries: int = 0  # how often a request is sent again, if it may succeed then
    pause: float = 1.0  # seconds before that; doubled each time
    again: str = _AGAIN  # what a user is told to do where it is busy

    def __post_init__(self) -> None:
        """An address of the web, and a key where one is named."""
        if not self.url.startswith(("http://", "https://")):
            fix = "Give an address such as http://127.0.0.1:8000/v1"
            raise ConfigError(f"{self.url} is no address", where="endpoint", fix=fix)
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            what, fix = f"{self.api_key_env} is not set", f"export {self.api_key_env}=…"
            raise ConfigError(what, where="api_key_env", fix=fix)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The answer to a request."""
        headers = {"Content-Type": "application/json"}
        if self.api_key_env is not None:
            headers["Authorization"] = f"Bearer {os.environ[self.api_key_env]}"
        address = f"{self.url.rstrip('/')}/{path}"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        for attempt in range(self.retries):
            try:
                return self._ask(request)
            except _Busy:
                time.sleep(self.pause * 2**attempt)
        return self._ask(request)

    def _ask(self, request: urllib.request.Request) -> bytes:
        where = request.full_url
        try:
            with _OPENER.open(request, timeout=self.timeout) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            said = " ".join(error.read(400).decode(errors="replace").split())[:160]
            what = f"refused ({error.code} {error.reason}{': ' if said else ''}{said})"
            if error.code == 429 or error.code >= 500:
                raise _Busy(what, where=where, fix=self.again) from None
            denied = "Check api_key_env" if error.code in (401, 403) else "Check endpoint and model"
            raise TrivetError(what, where=where, fix=denied) from None
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise _Busy(f"cannot be reached ({reason})", where=where, fix=self.again) from None

    def misunderstood(self, answer: bytes, kind: str) -> TrivetError:
        """What to say of an answer that cannot be read."""
        start = answer[:80].decode(errors="replace")
        what = f"its answer is not that of {kind}: {start!r}"
        return TrivetError(what, where=self.url, fix="Check endpoint")


class _Busy(TrivetError):
    """A failure that may be over in a moment."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key is meant for one server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)
