"""`trivet watch`: the report as a page that follows the runs that are going on."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

from trivet.cli.report import outputs
from trivet.core.errors import ConfigError


def run(argv: list[str]) -> int:
    """Serve the pages and make them again as the ledger and the runs grow, until interrupted."""
    flags = _parser().parse_args(argv)
    if flags.every <= 0:
        raise ConfigError("must be above 0", where="--every")

    from trivet.report.site.live import Live, is_loopback, server

    pages = Path(flags.pages) if flags.pages else None
    live = Live(Path(flags.ledger), outputs(flags.runs), pages, flags.rounds)
    live.refresh()
    try:
        serving = server(live, flags.host, flags.port)
    except (OSError, OverflowError) as error:
        fix = "Name another one with --host or --port"
        where = f"{flags.host}:{flags.port}"
        raise ConfigError(f"cannot be served at ({error})", where=where, fix=fix) from None
    if not is_loopback(flags.host):
        print(f"anybody who reaches {flags.host} can read these pages")
    port = serving.server_address[1]
    print(f"http://{f'[{flags.host}]' if ':' in flags.host else flags.host}:{port}/", flush=True)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    stop = threading.Event()
    try:
        while not stop.wait(flags.every):
            live.refresh()
    finally:
        serving.shutdown()
        serving.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet watch",
        description="Serve the site of trivet report --site on this machine; an open page follows "
        "the ledger and the runs.",
    )
    parser.add_argument("--ledger", default="results/ledger.jsonl", help="the ledger's file")
    parser.add_argument(
        "--pages", metavar="FILE", help="the site's questions: labels by page, YAML"
    )
    parser.add_argument(
        "--runs",
        action="append",
        metavar="DIR",
        help="a folder with runs/ and artifacts/; again for each (default outputs, if it is there)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8484, help="the port (default 8484; 0: any)")
    parser.add_argument(
        "--every", type=float, default=3.0, help="seconds between looks (default 3)"
    )
    parser.add_argument("--rounds", type=int, default=10_000, help="of the random draws")
    return parser
