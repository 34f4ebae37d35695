"""Rows looked at before the first step: one that cannot be used ends no run half-way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import torch

from trivet.core.errors import ConfigError, DataError
from trivet.core.records import Batch
from trivet.data.table import Table
from trivet.losses.bce import BCE
from trivet.losses.lambda_loss import LambdaLoss
from trivet.losses.listwise import Listwise
from trivet.models.pair_tokens import PairTokenizer

_ROWS = 1024
Empty = Callable[[list[str], str], list[bool]]  # texts and their side to which are empty
Sure = Callable[[str, str], bool]  # whether a text of a side needs no such look
_PLAIN = re.compile(r"[A-Za-z0-9]")  # a text with one of these has a token in any vocabulary


def has_token(text: str, _side: str) -> bool:
    """Whether it surely has one, in any vocabulary."""
    return bool(_PLAIN.search(text))


def check_rows(
    table: Table,
    tokenizer: PairTokenizer,
    loss: BCE | Listwise | LambdaLoss | None,
    ways: int | None,
) -> None:
    """Refuse the first row that cannot be used; `loss`: whose labels the rows' scores are."""
    if width(table, ways) == 1:
        fix = "Mine negatives first: trivet mine --pairs …"
        raise ConfigError(f"{table.name} has one document a query", where="data", fix=fix)
    for batch in _batches(table):
        _check_texts(batch, lambda texts, _: tokenizer.empty(texts), has_token)
        if loss is not None and batch.scores is not None:
            scores = torch.tensor(batch.scores)
            # of those that may be drawn the smallest, beside the first: no draw fits worse
            lowest = scores[:, 1:].sort(-1).values[:, : None if ways is None else ways - 1]
            drawn = torch.cat([scores[:, :1], lowest], dim=-1)
            unfit = (loss.unfit(scores) | loss.unfit(drawn)).nonzero().flatten().tolist()
            if unfit:
                low, high = (f"{x:g}" for x in scores[unfit[0]].aminmax())
                some = "" if ways is None else f" {ways} at a time,"
                what = f"its scores, {low} to {high},{some} do not fit the loss"
                raise DataError(what, where=batch.ids[unfit[0]], fix=loss.needs)


def width(table: Table, ways: int | None) -> int:
    """Documents a row, all rows alike, 0 of no rows; `ways` of them must be there."""
    count = len(table.read(np.array([0])).documents[0]) if len(table) else 0
    if ways is not None and 0 < count < ways:
        raise DataError(f"{count} documents, not {ways}", where=table.name, fix=f"ways={count}")
    return count


def check_texts(table: Table, empty: Empty, sure: Sure) -> None:
    """Refuse the first text without a token that counts.

    `empty` says which of some texts of a side are so, of those that `sure` does not let pass.
    """
    for batch in _batches(table):
        _check_texts(batch, empty, sure)


def _check_texts(batch: Batch, empty: Empty, sure: Sure) -> None:
    for side in ("query", "document"):
        odd = [
            (name, text)
            for name, query, documents in zip(
                batch.ids, batch.queries, batch.documents, strict=True
            )
            for text in ([query] if side == "query" else documents)
            if not sure(text, side)
        ]
        found = empty([text for _, text in odd], side) if odd else []
        for (name, text), none in zip(odd, found, strict=True):
            if none:
                what = f"a {side} has no token: {text[:40]!r}"
                raise DataError(what, where=name, fix="Leave it out")


def _batches(table: Table) -> Iterator[Batch]:
    for start in range(0, len(table), _ROWS):
        yield table.read(np.arange(start, min(start + _ROWS, len(table))))
