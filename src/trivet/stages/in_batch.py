"""A batch of pairs before a contrastive loss: documents of all ranks are negatives of a query."""

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
from trivet.losses.angle import Angle
from trivet.losses.cosent import Cosent
from trivet.losses.false_negatives import false_negatives
from trivet.losses.infonce import InfoNCE, infonce
from trivet.models.colbert import ColBERT
from trivet.models.dense import Dense
from trivet.training.gather import gathered
from trivet.training.settings import Prepared

log = logging.getLogger("trivet")


@dataclass(frozen=True)
class Texts:
    """A number for every text of this rank's rows, equal where the texts are."""

    queries: Tensor  # (B,)
    documents: Tensor  # (B * W,), each query's own W, the positive first
    labels: Tensor | None = None  # (B, W), how near each document is, where the rows say so


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
        labels = None if batch.scores is None else torch.tensor(batch.scores)
        texts = Texts(text_numbers(batch.queries), text_numbers(documents), labels)
        return Prepared(concatenate([queries.ids, answers.ids]), texts)

    return prepare


def judge(loss: InfoNCE | Angle | Cosent, vectors: Tensor, texts: Texts) -> Tensor:
    """The loss of a batch's vectors (N, D), all queries before all documents.

    InfoNCE is a mean over queries, each rank's own; the others compare all pairs with all, so every
    rank computes the whole.
    """
    if isinstance(loss, InfoNCE):
        batch = in_batch(vectors, texts)
        return infonce(
            batch.queries,
            batch.documents,
            positives=batch.positives,
            temperature=loss.temperature,
            excluded=batch.excluded if loss.mask_false_negatives else None,
        )
    rows = len(texts.queries)
    queries = gathered(vectors[:rows])  # (B, D)
    documents = gathered(vectors[rows:]).unflatten(0, (len(queries), -1))  # (B, W, D)
    if isinstance(loss, Angle):
        return loss(queries, documents)
    assert texts.labels is not None
    scores = torch.einsum("bd,bwd->bw", queries, documents)
    return loss(scores.flatten(), gathered(texts.labels.to(scores)).flatten())


def in_batch(vectors: Tensor, texts: Texts) -> InBatch:
    """Gather the documents of all ranks, and find those that are known answers."""
    rows = len(texts.queries)  # B
    positives, excluded = answers(texts, vectors.device)
    return InBatch(vectors[:rows], gathered(vectors[rows:]), positives, excluded)


def answers(texts: Texts, device: torch.device) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Among the documents of all ranks: the column of each query's positive, (B,), and rows and
    columns of all that are known to answer it."""
    rows = len(texts.queries)  # B
    width = len(texts.documents) // rows  # W
    numbers = gathered(texts.documents)  # (N,)
    known = false_negatives(texts.queries, numbers, gathered(texts.queries), numbers[::width])
    positives = (torch.arange(rows) + rank() * rows) * width
    return positives.to(device), (known[0].to(device), known[1].to(device))


def texts_by_side(batch: Batch) -> dict[str, list[str]]:
    """All texts of a batch, of the sides that it has: rows may be texts without a query."""
    documents = [document for row in batch.documents for document in row]
    sides = {"query": batch.queries if batch.queries[0] else [], "document": documents}
    return {side: texts for side, texts in sides.items() if texts}


def show(batch: Batch, model: Dense | ColBERT) -> None:
    """Log one decoded example of each side, so that prompts and lengths can be seen."""
    for side, texts in texts_by_side(batch).items():
        ids = model.tokenizer(texts[:1], side, batch.prompts.get(side)).ids[0]
        shown = textwrap.shorten(model.tokenizer.inner.decode(ids), 240, placeholder=" …")
        log.info("%s of %d tokens: %s", side, len(ids), shown)


def text_numbers(texts: list[str]) -> Tensor:
    """A number for every text, equal where the texts are."""
    return torch.tensor([text_number(text) for text in texts])
