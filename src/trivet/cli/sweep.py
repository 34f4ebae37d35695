"""`trivet sweep`: what the store knows of a sweep; and `trivet train -m`, which begins one."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.core.errors import TrivetError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def run(argv: list[str]) -> int:
    """Status, retry or cancel; all from the store alone."""
    flags = _parser().parse_intermixed_args(argv)  # flags may stand before the sweep's name
    from trivet.sweep.record import find
    from trivet.sweep.status import listed, table

    if flags.what == "collect":
        return _collect(flags.sweep, flags.ledger)
    root = Path(flags.out).expanduser() / "sweeps"
    if flags.what == "status" and flags.sweep is None:
        print("\n".join(listed(root)))
        return 0
    if flags.sweep is None:
        fix = "trivet sweep status lists them"
        raise TrivetError("name a sweep", where=f"trivet sweep {flags.what}", fix=fix)
    sweep = find(root, flags.sweep)
    if flags.what == "cancel":
        from trivet.sweep.cancel import cancel

        print("\n".join(cancel(sweep)))
        return 0
    if flags.what == "retry":
        from trivet.cli import compose
        from trivet.sweep.retry import retry

        compose.prepare()
        retry(sweep, flags.runs)
        return _told(sweep)
    while True:
        lines = table(sweep)
        print("\033[H\033[J" * flags.watch + "\n".join(lines), flush=True)
        if not flags.watch or sweep_ended(lines):
            return 0
        time.sleep(flags.every)


def launch(argv: list[str], overrides: list[str], extra: str | None, *, preview: bool) -> int:
    """Begin a sweep, or show what it would be."""
    from trivet.cli import compose
    from trivet.cli.measure import check
    from trivet.sweep.submit import Asked, submit

    compose.prepare()

    def plain(config: DictConfig) -> dict[str, Any]:
        found = compose.container(config)
        if found.get("measure"):
            check(found["measure"])
        return found

    words = list(overrides)
    if extra is not None:
        words.append(f"hydra.searchpath=[file://{Path(extra).resolve()}]")
    try:
        elements = submit(Asked(words, "trivet train " + shlex.join(argv), preview), plain)
    except compose.FAILURES as error:
        forced = compose.leave_to_schema(error, overrides)
        if forced is not None:
            return launch(argv, forced, extra, preview=preview)
        raise compose.plainly(error) from None
    if preview:
        from trivet.sweep.preview import preview as shown

        print("\n".join(shown(elements)))
        return 0
    return _told(elements.sweep)


def _collect(url: str | None, ledger: str) -> int:
    """Bring rows from object storage into the ledger's file."""
    from trivet.bench.ledger import Ledger
    from trivet.core.remote import Remote

    if url is None:
        fix = "trivet sweep collect s3://bucket/prefix"
        raise TrivetError("from where?", where="trivet sweep collect", fix=fix)
    count = Ledger(Path(ledger).expanduser()).collect(Remote(url))
    print(f"{count} row(s) added to {ledger}")
    return 0


def _told(sweep: object) -> int:
    """The table, the page, and whether all is well."""
    from trivet.cli.sweep_page import sweep_page
    from trivet.sweep.record import Sweep
    from trivet.sweep.status import table

    assert isinstance(sweep, Sweep)
    print("\n".join(table(sweep)))
    if page := sweep_page(sweep):
        print(f"the page: {page}")
    states = {record.status().state for record in sweep.records()}
    return 0 if states <= {"finished", "stopped"} else 1


def sweep_ended(lines: list[str]) -> bool:
    """Whether nothing moves any more: no run is at work or waits."""
    return not any(f" {state} " in line for line in lines[1:] for state in ("running", "queued"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trivet sweep",
        description="What the store knows of a sweep that `trivet train -m` began, anywhere.",
    )
    choices = ["status", "retry", "cancel", "collect"]
    parser.add_argument("what", choices=choices, help="what to do; collect: rows from storage")
    parser.add_argument(
        "sweep", nargs="?", help="its id, or the start of it (none lists them); collect: a URL"
    )
    parser.add_argument("runs", nargs="*", type=int, help="retry: only these numbers")
    parser.add_argument("--out", default="outputs", help="where runs lie (default outputs)")
    parser.add_argument("--ledger", default="results/ledger.jsonl", help="collect: into this file")
    parser.add_argument(
        "--watch", action="store_true", help="status: again and again until it ends"
    )
    parser.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="how often (default 2)"
    )
    return parser
