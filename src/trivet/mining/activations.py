"""Hidden states of training texts' tokens, made once, kept in fp16 and mapped into memory.

Read by row, they are what the frozen encoder would say again: at every step the same tokens in the
same order as on the fly, each number rounded to 16 bits. Beside that rounding numbers differ as far
as an encoder's do that reads a text among other texts. Shards are runs of texts with their checksum
in their name; a run that was killed goes on at the shard where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trivet.core.errors import DataError
from trivet.core.hashing import json_digest
from trivet.core.lock import only_one
from trivet.core.machine import Precision
from trivet.core.mapped import mapped
from trivet.core.progress import Progress
from trivet.core.ragged import Ragged
from trivet.core.ranks import rank, wait
from trivet.core.records import Batch
from trivet.data.table import Table
from trivet.mining.texts import Texts
from trivet.models.latent import Latent, fingerprint
from trivet.retrieval.cache import Cache
from trivet.retrieval.vectors import Shard

log = logging.getLogger("trivet")
_SHARD = 1024  # texts
_DAY = 86400.0
Bags = list[tuple[NDArray[np.float16], NDArray[np.int64]]]  # a shard's tokens, and where texts end


@dataclass(frozen=True)
class Activations:
    """Hidden states of all tokens of a source, of both sides where it has both."""

    sides: dict[str, Bags]  # in the order in which a batch's texts are read
    width: int  # documents in a row

    def of(self, batch: Batch) -> Ragged:
        """Of a batch's queries, then of all its documents: a bag of (tokens, D) each, fp16."""
        found: list[torch.Tensor] = []
        for side, bags in self.sides.items():
            width = 1 if side == "query" else self.width
            for place in (row * width + i for row in batch.rows for i in range(width)):
                values, offsets = bags[place // _SHARD]
                start, stop = offsets[place % _SHARD : place % _SHARD + 2].tolist()
                found.append(torch.from_numpy(values[start:stop]))
        return Ragged.of(found)


def store(model: Latent, table: Table, folder: Path, precision: Precision) -> Activations:
    """The hidden states of a whole source, found under `folder` or made and kept there."""
    if len(table) != table.size:
        raise ValueError("rows are named by their place in the whole source")
    first = table.read(np.zeros(1, dtype=np.int64))
    width = len(first.documents[0])
    widths = {"query": int(bool(first.queries and first.queries[0])), "document": width}
    sides = {
        side: _side(model, Texts(table, side, count), first.prompts.get(side), folder, precision)
        for side, count in widths.items()
        if count
    }
    return Activations(sides, width)


def _side(
    model: Latent, texts: Texts, prompt: str | None, folder: Path, precision: Precision
) -> Bags:
    side, name = texts.side, texts.table.name
    key: dict[str, Any] = {
        "activations": fingerprint(model.encoder),
        "side": side,
        "length": model.tokenizer.lengths[side],
        "prompt": model.tokenizer.prompts.get(side, "") if prompt is None else prompt,
        "lower": model.tokenizer.lower,
        "precision": precision,
        "texts": texts.table.key,
    }
    ends = range(0, len(texts), _SHARD)
    parts = [list(range(start, min(start + _SHARD, len(texts)))) for start in ends]

    def make(numbers: list[int]) -> Iterator[Shard]:
        if numbers:
            log.info("%s: the encoder reads %d of %d shards", name, len(numbers), len(parts))
        with Progress(name, len(numbers), "shard") as progress:
            for number in numbers:
                own = [texts[place] for place in parts[number]]
                yield _encoded(model, own, parts[number], side, prompt, precision, name)
                progress.add(1)

    cache = Cache(folder=str(folder), limit_gib=float("inf"))  # never removed while it is needed
    lock = folder / f"{json_digest(key)[:24]}.lock"
    alone = only_one(lock, wait=_DAY, what="these activations") if rank() == 0 else nullcontext()
    with alone:
        wait()  # until the first rank has the lock
        return [_mapped(shard) for shard in cache.collect(key, len(parts), make).shards]


@torch.inference_mode()
def _encoded(
    model: Latent,
    texts: list[str],
    rows: list[int],
    side: str,
    prompt: str | None,
    precision: Precision,
    name: str,
) -> Shard:
    tokens = model.tokenizer(texts, side, prompt)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
        states = model.states(tokens.ids, model.budget, torch.float32)
    whole, states = states.values, Ragged(states.values.half(), states.offsets)
    if not bool(whole.isfinite().all()):
        fix = "Look at the model's weights"
        raise DataError("hidden states are not finite numbers", where=name, fix=fix)
    if not bool(states.values.isfinite().all()):
        what = "hidden states are too large for numbers of 16 bits"
        raise DataError(what, where=name, fix="Train with activations=streamed")
    return Shard(torch.tensor(rows), states, tokens.truncated)


def _mapped(shard: Shard | Path) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    if isinstance(shard, Path):
        arrays, _ = mapped(shard)
        return arrays["vectors"], arrays["offsets"]
    assert isinstance(shard.vectors, Ragged)
    return shard.vectors.values.numpy(), shard.vectors.offsets.numpy()
