"""A batch of bags of token vectors before the losses of late interaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from trivet.core.errors import ConfigError, DataError
from trivet.core.maxsim_gradient import maxsim_of_all, maxsim_of_own
from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Batch
from trivet.core.seeds import derive
from trivet.losses.contrast import contrast
from trivet.losses.infonce import InfoNCE
from trivet.losses.kl import KL
from trivet.losses.margin_mse import MarginMSE
from trivet.losses.xtr import XTR, retrieved_maxsim
from trivet.models.colbert import ColBERT
from trivet.stages.in_batch import Texts, answers, text_numbers
from trivet.training.gather import gathered_bags
from trivet.training.settings import Prepared


@dataclass
class Term:
    """A loss and its weight in the sum."""

    loss: KL | MarginMSE | InfoNCE | XTR
    """KL and MarginMSE compare a query's own documents with a teacher's scores; InfoNCE and XTR
    contrast its first document with those of the whole batch, on all ranks."""
    weight: float = 1.0
    """What it is multiplied by."""

    def __post_init__(self) -> None:
        """A weight that pulls."""
        if self.weight <= 0:
            raise ConfigError("must be above 0", where="weight", fix="Leave the term out")

    @property
    def taught(self) -> bool:
        """Whether it needs a teacher's scores."""
        return not isinstance(self.loss, InfoNCE | XTR)


class Bags(nn.Module):
    """A ColBERT model that encodes texts of both sides together."""

    def __init__(self, model: ColBERT) -> None:
        """Train `model` in place."""
        super().__init__()
        self.model = model

    def forward(self, marked: Ragged) -> Ragged:
        """Bags of token vectors, in the order given."""
        return self.model.vectors(marked)


def preparer(model: ColBERT, ways: int | None, seed: int) -> Callable[[Batch], Prepared]:
    """Rows to what the encoder reads: all queries, then each query's documents.

    `ways`: the first document of a row and so many others, less one, drawn for that row.
    """

    def prepare(batch: Batch) -> Prepared:
        chosen = chosen_ways(batch, ways, seed)
        documents = [batch.documents[i][j] for i, row in enumerate(chosen) for j in row]
        parts = [
            model.marked(model.tokenizer(texts, side, batch.prompts.get(side)).ids, side)
            for side, texts in (("query", batch.queries), ("document", documents))
        ]
        for row, kept in enumerate(_kept(parts[1])):
            if not kept:
                name = batch.ids[row // len(chosen[0])]
                what = f"a document has no token that counts: {documents[row][:40]!r}"
                raise DataError(what, where=name, fix="Shorten the list of tokens in skip")
        labels = None
        if batch.scores is not None:
            labels = torch.tensor(
                [[batch.scores[i][j] for j in row] for i, row in enumerate(chosen)]
            )
        texts = Texts(text_numbers(batch.queries), text_numbers(documents), labels)
        return Prepared(concatenate(parts), texts)

    return prepare


def judge(terms: dict[str, Term], bags: Ragged, texts: Texts) -> Tensor:
    """The weighted sum of losses of a batch's bags, all queries before all documents."""
    rows = len(texts.queries)
    queries, documents = bags.part(0, rows), bags.part(rows, len(bags))
    device = bags.values.device
    total = bags.values.new_zeros(())
    if any(term.taught for term in terms.values()):
        assert texts.labels is not None
        own = maxsim_of_own(queries, documents)  # (B, n)
        teacher = texts.labels.to(device)
        for term in terms.values():
            if isinstance(term.loss, KL | MarginMSE):
                total = total + term.weight * term.loss(own, teacher)
    if not all(term.taught for term in terms.values()):
        everyone = gathered_bags(documents)
        positives, known = answers(texts, device)
        for term in terms.values():
            if isinstance(term.loss, InfoNCE | XTR):
                scores = (
                    retrieved_maxsim(queries, everyone, term.loss.k)
                    if isinstance(term.loss, XTR)
                    else maxsim_of_all(queries, everyone)
                )  # (B, N)
                excluded = known if term.loss.mask_false_negatives else None
                temperature = term.loss.temperature
                total = total + term.weight * contrast(
                    scores, positives, temperature=temperature, excluded=excluded
                )
    return total


def chosen_ways(batch: Batch, ways: int | None, seed: int) -> list[list[int]]:
    """Which documents of each row are used, as many of one as of another."""
    chosen = [_chosen(batch, i, ways, seed) for i in range(len(batch.queries))]
    if len({len(row) for row in chosen}) > 1:
        counts = sorted({len(row) for row in chosen})
        what = f"rows of {counts[0]} to {counts[-1]} documents in one batch ({batch.ids[0]}, …)"
        raise DataError(what, where=batch.source, fix=f"Set ways={counts[0]}")
    return chosen


def _chosen(batch: Batch, row: int, ways: int | None, seed: int) -> list[int]:
    """Which documents of a row are used: the first, and others in the order they stand in."""
    count = len(batch.documents[row])
    if ways is None or ways == count:
        return list(range(count))
    if ways > count:
        raise DataError(f"{count} documents, not {ways}", where=batch.ids[row], fix=f"ways={count}")
    draw = np.random.default_rng(abs(derive(seed, batch.source, batch.rows[row])))
    others = draw.choice(count - 1, ways - 1, replace=False) + 1
    return [0, *sorted(int(other) for other in others)]


def _kept(marked: Ragged) -> list[int]:
    """How many tokens of each row get a vector."""
    sums = torch.cat([torch.zeros(1, dtype=torch.int64), marked.values[:, 2].cumsum(0)])
    return sums[marked.offsets].diff().tolist()
