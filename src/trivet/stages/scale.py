"""What a training would take on many GPUs: arithmetic over stated figures, and nothing else.

A step of contrastive training does three things that cost time: products of the encoder's weights
with tokens, the scores of a batch against itself, and what ranks send each other. The first two
follow from shapes, a GPU's published peak and the share of it that is reached; the last from the
bytes and a published bandwidth. The share that is reached is an input: it is measured, or a guess
that is named as one.
"""

from __future__ import annotations

from dataclasses import dataclass

_FORWARD = 2  # FLOPs of a weight and a token; backward costs twice as much


@dataclass(frozen=True)
class Training:
    """What is trained."""

    rows: int
    """Pairs."""
    tokens: float
    """Tokens of a pair, both sides together."""
    weights: int
    """Weights that are multiplied with every token; embeddings are not."""
    parameters: int
    """All weights: their gradients are exchanged."""
    dim: int
    """Of a vector."""
    batch: int
    """Pairs of a step, over all ranks."""
    cached: bool
    """GradCache: every text is encoded once more."""


@dataclass(frozen=True)
class Cluster:
    """What it is trained on."""

    gpus: int
    peak: float
    """FLOP/s of one GPU in bf16, dense, as published."""
    reached: float
    """The share of it that training reaches."""
    bandwidth: float
    """Bytes a second that a GPU sends to others, as published."""


@dataclass(frozen=True)
class Projection:
    """Hours."""

    encoder: float
    scores: float
    exchange: float

    @property
    def hours(self) -> float:
        """Of the whole; nothing is assumed to overlap."""
        return self.encoder + self.scores + self.exchange


def project(training: Training, cluster: Cluster) -> Projection:
    """The parts of the time that a training takes."""
    steps = training.rows / training.batch
    passes = _FORWARD * (3 + training.cached)  # forward, backward, and forward before
    rate = cluster.gpus * cluster.peak * cluster.reached
    encoder = training.rows * training.tokens * training.weights * passes / rate
    # each rank scores its share of the queries with all documents, and back for either side
    pairs = training.batch**2 * training.dim * _FORWARD * 3
    scores = steps * pairs / rate
    share = (cluster.gpus - 1) / cluster.gpus
    vectors = 2 * training.batch * training.dim * 4 * share * 2  # gathered, and their gradients
    gradients = 2 * training.parameters * 4 * share  # a ring's all-reduce
    exchange = steps * (vectors + gradients) / cluster.bandwidth
    return Projection(encoder / 3600, scores / 3600, exchange / 3600)
