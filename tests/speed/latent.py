"""Latent terms, side by side with what one would write or use else; a part of `make bench`.

Training: one step of the autoencoder on 4,096 vectors of 384 dimensions, against a plain Top-K
autoencoder in PyTorch: torch.topk, and a decoder that multiplies the whole dictionary. Both take
the same steps from the same weights, in the same precision, with the same fused AdamW and clipping.
Rounds alternate, and a ratio is the median over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from trivet.bench.table import table
from trivet.core.machine import bf16_units, hardware
from trivet.models.sae import TopK
from trivet.optim.adamw import AdamW

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
    options = parser.parse_args()
    units = bf16_units("cpu")
    rows = [
        training(precision, options.rounds, options.steps)
        for precision in ("fp32", *(["bf16"] if units else []))
    ]
    where = hardware()
    print(f"\n{where['cpu']}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if not units:
        print("This CPU has no bf16 units, so bf16 is not timed.")
    headers = ["median of rounds", "peer", "peer's", "trivet's", "unit", "ratio", "ratios"]
    print(table(headers, rows))


if __name__ == "__main__":
    main()
