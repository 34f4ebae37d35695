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
_PLAIN = re.compile(r"[A-Za-z0-9]")  # a text with one of these has a token in any vocabulary


def check_rows(
    table: Table, tokenizer: PairTokenizer, loss: BCE | Listwise | LambdaLoss | None
) -> None:
    """Refuse the first row that cannot be used; `loss`: whose labels the rows' scores are."""
    if len(table) and len(table.read(np.array([0])).documents[0]) < 2:
        fix = "Mine negatives first: trivet mine --pairs …"
        raise ConfigError(f"{table.name} has one document a query", where="data", fix=fix)
    for batch in _batches(table):
        _check_texts(batch, lambda texts, _: tokenizer.empty(texts))
        if loss is not None and batch.scores is not None:
            unfit = loss.unfit(torch.tensor(batch.scores)).nonzero().flatten().tolist()
            if unfit:
                scores = batch.scores[unfit[0]]
                what = f"its scores, {min(scores):g} to {max(scores):g}, do not fit the loss"
                raise DataError(what, where=batch.ids[unfit[0]], fix=loss.needs)


def check_texts(table: Table, empty: Empty) -> None:
    """Refuse the first text without a token; `empty` says which of some texts of a side are so."""
    for batch in _batches(table):
        _check_texts(batch, empty)


def _check_texts(batch: Batch, empty: Empty) -> None:
    for side in ("query", "document"):
        odd = [
            (name, text)
            for name, query, documents in zip(
                batch.ids, batch.queries, batch.documents, strict=True
            )
            for text in ([query] if side == "query" else documents)
            if not _PLAIN.search(text)
        ]
        found = empty([text for _, text in odd], side) if odd else []
        for (name, text), none in zip(odd, found, strict=True):
            if none:
                what = f"a {side} has no token: {text[:40]!r}"
                raise DataError(what, where=name, fix="Leave it out")


def _batches(table: Table) -> Iterator[Batch]:
    for start in range(0, len(table), _ROWS):
        yield table.read(np.arange(start, min(start + _ROWS, len(table))))
