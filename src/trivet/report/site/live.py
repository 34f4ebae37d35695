"""The site in memory, made anew when the ledger or a run has grown, and served on this machine."""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from trivet.core.errors import TrivetError
from trivet.report.site.findings import Findings, findings
from trivet.report.site.held import hold
from trivet.report.site.pages import read_pages
from trivet.report.site.site import write

log = logging.getLogger("trivet")
Marks = dict[str, tuple[int, int]]  # of files: length and time of the last change


class Live:
    """The pages as they are now; nothing else can be asked for."""

    def __init__(
        self, ledger: Path, outputs: Sequence[Path], pages: Path | None, rounds: int
    ) -> None:
        """Name what is looked at; `refresh` looks."""
        self.ledger, self.outputs, self.pages, self.rounds = ledger, outputs, pages, rounds
        self.files: dict[str, bytes] = {}
        self.version = 0
        self._of_ledger: Marks | None = None
        self._of_runs: Marks | None = None
        self._found: Findings | None = None

    def refresh(self) -> bool:
        """Make the pages again if anything has changed; what cannot be read leaves the old ones."""
        of_ledger = _marks([self.ledger, *([self.pages] if self.pages else [])])
        of_runs = _marks(path for folder in self.outputs for path in _logs(folder))
        if (of_ledger, of_runs) == (self._of_ledger, self._of_runs):
            return False
        try:
            pages = read_pages(self.pages)
            held = hold(self.ledger, self.outputs)
            if self._found is None or of_ledger != self._of_ledger:
                self._found = findings(held, pages, self.rounds)
            with TemporaryDirectory(prefix="trivet-watch-") as room:
                out = Path(room) / "site"
                write(out, held, pages, self._found, live=str(self.version + 1))
                self.files = {
                    path.relative_to(out).as_posix(): path.read_bytes()
                    for path in out.rglob("*")
                    if path.is_file()
                }
            self.version += 1
        except (TrivetError, OSError) as error:
            if not self.files:
                raise
            log.warning("%s: the pages stay as they were", error)
        self._of_ledger, self._of_runs = of_ledger, of_runs
        return True


def _logs(folder: Path) -> list[Path]:
    """What grows or appears while runs go on."""
    runs = folder / "runs"
    return [*runs.glob("*/*/metrics.jsonl"), *runs.glob("*/manifest.json")]


def _marks(paths: Iterable[Path]) -> Marks:
    out: Marks = {}
    for path in paths:
        if path.is_file():
            stat = path.stat()
            out[str(path)] = (stat.st_size, stat.st_mtime_ns)
    return out


def server(live: Live, host: str, port: int) -> ThreadingHTTPServer:
    """A server of the pages, not yet running.

    On a loopback address it answers only who calls it by one: a page of another site whose name
    was made to point here is refused.
    """
    local = is_loopback(host)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if local and not is_loopback(urlsplit(f"//{self.headers.get('Host', '')}").hostname):
                self.send_error(HTTPStatus.FORBIDDEN, "Call this server by its loopback address")
                return
            name = unquote(urlsplit(self.path).path).lstrip("/") or "index.html"
            found = str(live.version).encode() if name == "version" else live.files.get(name)
            if found is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            kind = "text/plain" if name == "version" else mimetypes.guess_type(name)[0]
            charset = "; charset=utf-8" if kind and kind.startswith("text/") else ""
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", f"{kind or 'application/octet-stream'}{charset}")
            self.send_header("Content-Length", str(len(found)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a page asks every two seconds."""

    return ThreadingHTTPServer((host, port), Handler)


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach that name."""
    if host in ("localhost", None):
        return host is not None
    try:
        return ip_address(str(host)).is_loopback
    except ValueError:
        return False
