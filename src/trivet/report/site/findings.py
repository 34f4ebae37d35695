"""What a ledger says, computed once: leaderboards, ablations, ladders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from trivet.bench.significance import ROUNDS
from trivet.report.site import ladder, studies
from trivet.report.site.boards import Board, boards
from trivet.report.site.held import Held
from trivet.report.site.ladder import Ladder
from trivet.report.site.pages import Pages
from trivet.report.site.studies import Study

T = TypeVar("T", Study, Ladder)


@dataclass(frozen=True)
class Findings:
    """Everything that is tested, before it is written down."""

    boards: list[Board]
    studies: list[Study]
    ladders: list[Ladder]


def findings(held: Held, pages: Pages, rounds: int = ROUNDS) -> Findings:
    """Test what the pages ask and what the rows themselves tell."""
    rows, ledger, metrics = held.rows, held.ledger, pages.metrics
    asked = studies.asked(ledger, rows, pages.ablations, metrics, rounds)
    swept = studies.swept(ledger, rows, metrics, rounds)
    climbed = ladder.climbed(ledger, rows, pages.ladders, metrics, rounds)
    found = ladder.found(ledger, rows, held.manifests, metrics, rounds)
    return Findings(
        boards(ledger, rows, metrics, rounds),
        _once(asked, swept),
        _once(climbed, found),
    )


def _once(first: Sequence[T], then: Sequence[T]) -> list[T]:
    """Both, less what the second says of a name that the first has."""
    names = {one.name for one in first}
    return [*first, *(one for one in then if one.name not in names)]
