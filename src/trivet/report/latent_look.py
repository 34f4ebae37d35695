"""Which texts a latent is looked at in, so that it is looked at in the same ones every time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trivet.core.errors import ConfigError, DataError
from trivet.core.seeds import derive
from trivet.retrieval.postings import Postings


@dataclass
class Look:
    """How closely latents are looked at."""

    documents: int = 200
    """A latent is looked at in at most so many of the documents that hold it, drawn by the seed."""
    reference: int = 512
    """Random documents, in which tokens without the latent are found."""
    window: int = 8
    """Tokens on either side that make up a context."""
    least: int = 20
    """In fewer documents a latent is not scored: half of them teach, half are told."""
    tokens: int = 8
    """Top tokens told."""
    contexts: int = 4
    """Contexts told: half the strongest, half drawn by the seed."""
    queries: int = 300
    """At most so many queries, drawn by the seed, decide what a latent is decisive for."""
    decisive: int = 2
    """Documents told that a latent is decisive for."""
    seed: int = 0
    """Draws all of it."""

    def __post_init__(self) -> None:
        """Counts that hold something."""
        for name in ("documents", "reference", "window", "tokens", "contexts", "queries"):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name)
        if self.least < 4 or self.documents < self.least:
            raise ConfigError("needs 4 documents or more, and no more than are looked at",
                              where="least")  # fmt: skip
        if self.decisive < 0:
            raise ConfigError("must not be negative", where="decisive")


@dataclass(frozen=True)
class Sample:
    """The documents of each latent in the order drawn, and the random ones."""

    documents: dict[int, NDArray[np.int64]]
    reference: NDArray[np.int64]

    @property
    def rows(self) -> list[int]:
        """All documents that are read, each once."""
        return np.unique(np.concatenate([self.reference, *self.documents.values()])).tolist()


def sample(postings: Postings, count: int, latents: Iterable[int], look: Look) -> Sample:
    """Draw the documents of some latents out of `count`; one latent's do not depend on others."""
    reference = np.random.default_rng(derive(look.seed, "reference")).permutation(count)
    documents: dict[int, NDArray[np.int64]] = {}
    for latent in latents:
        if not 0 <= latent < len(postings.starts) - 1:
            fix = f"There are 0 to {len(postings.starts) - 2}"
            raise DataError(f"no latent {latent}", fix=fix)
        held = postings[latent][0].astype(np.int64)
        generator = np.random.default_rng(derive(look.seed, "documents", latent))
        documents[latent] = generator.permutation(held)[: look.documents]
    return Sample(documents, reference[: look.reference].astype(np.int64))


def drawn(postings: Postings, count: int | None, seed: int) -> list[int]:
    """So many of the latents that stand in some document, drawn by the seed; None is all."""
    alive = np.flatnonzero(postings.frequencies)
    return np.random.default_rng(derive(seed, "latents")).permutation(alive)[:count].tolist()
