"""Rows looked at before a reranker's first step: one that cannot be used ends no run half-way."""

from __future__ import annotations

import re

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
_PLAIN = re.compile(r"[A-Za-z0-9]")  # a text with one of these has a token in any vocabulary


def check_rows(
    table: Table, tokenizer: PairTokenizer, loss: BCE | Listwise | LambdaLoss | None
) -> None:
    """Refuse the first row that cannot be used; `loss`: whose labels the rows' scores are."""
    if len(table) and len(table.read(np.array([0])).documents[0]) < 2:
        fix = "Mine negatives first: trivet mine --pairs …"
        raise ConfigError(f"{table.name} has one document a query", where="data", fix=fix)
    for start in range(0, len(table), _ROWS):
        batch = table.read(np.arange(start, min(start + _ROWS, len(table))))
        _check_texts(batch, tokenizer)
        if loss is not None and batch.scores is not None:
            unfit = loss.unfit(torch.tensor(batch.scores)).nonzero().flatten().tolist()
            if unfit:
                scores = batch.scores[unfit[0]]
                what = f"its scores, {min(scores):g} to {max(scores):g}, do not fit the loss"
                raise DataError(what, where=batch.ids[unfit[0]], fix=loss.needs)


def _check_texts(batch: Batch, tokenizer: PairTokenizer) -> None:
    odd = [
        (name, what, text)
        for name, query, documents in zip(batch.ids, batch.queries, batch.documents, strict=True)
        for what, text in [("query", query), *(("document", text) for text in documents)]
        if not _PLAIN.search(text)
    ]
    for (name, what, text), empty in zip(odd, tokenizer.empty([t for *_, t in odd]), strict=True):
        if empty:
            raise DataError(f"a {what} has no token: {text[:40]!r}", where=name, fix="Leave it out")
