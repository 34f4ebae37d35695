"""What stages with in-batch negatives share: a query's documents stand among those of all ranks."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trivet.core.hashing import text_number
from trivet.core.ragged import concatenate
from trivet.core.ranks import rank
from trivet.core.records import Batch
from trivet.losses.false_negatives import false_negatives
from trivet.models.dense import Dense
from trivet.training.gather import gathered
from trivet.training.settings import Prepared

log = logging.getLogger("trivet")


@dataclass(frozen=True)
class Texts:
    """A number for every text of this rank's rows, equal where the texts are."""

    queries: Tensor  # (B,)
    documents: Tensor  # (B * W,), each query's own W, the positive first


@dataclass(frozen=True)
class InBatch:
    """This rank's queries before the documents of all ranks."""

    queries: Tensor  # (B, ...)
    documents: Tensor  # (N, ...)
    positives: Tensor  # (B,), the column of each query's own positive
    excluded: tuple[Tensor, Tensor]  # rows and columns of documents known to answer


def preparer(model: Dense) -> Callable[[Batch], Prepared]:
    """Rows of pairs, with or without negatives, to token ids: all queries, then all documents."""

    def prepare(batch: Batch) -> Prepared:
        documents = [text for row in batch.documents for text in row]
        queries = model.tokenizer(batch.queries, "query", batch.prompts.get("query"))
        answers = model.tokenizer(documents, "document", batch.prompts.get("document"))
        texts = Texts(_numbers(batch.queries), _numbers(documents))
        return Prepared(concatenate([queries.ids, answers.ids]), texts)

    return prepare


def in_batch(vectors: Tensor, texts: Texts) -> InBatch:
    """Gather the documents of all ranks, and find those that are known answers."""
    rows = len(texts.queries)  # B
    width = len(texts.documents) // rows  # W
    numbers = gathered(texts.documents)  # (N,)
    known = false_negatives(texts.queries, numbers, gathered(texts.queries), numbers[::width])
    return InBatch(
        vectors[:rows],
        gathered(vectors[rows:]),
        ((torch.arange(rows) + rank() * rows) * width).to(vectors.device),
        (known[0].to(vectors.device), known[1].to(vectors.device)),
    )


def show(batch: Batch, model: Dense) -> None:
    """Log one decoded example of each side, so that prompts and lengths can be seen."""
    for side, text in (("query", batch.queries[0]), ("document", batch.documents[0][0])):
        prompt = batch.prompts.get(side)
        ids = model.tokenizer([text], side, prompt).ids[0]
        shown = textwrap.shorten(model.tokenizer.inner.decode(ids), 240, placeholder=" …")
        log.info("%s of %d tokens: %s", side, len(ids), shown)


def _numbers(texts: list[str]) -> Tensor:
    return torch.tensor([text_number(text) for text in texts])
