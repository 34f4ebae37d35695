"""MaxSim against maxsim-cpu, on the same vectors, in one process; a part of `make bench`.

One query of 32 tokens with 1000 documents, each engine on its own best layout, laid out before the
clock starts. Rounds alternate; a ratio is the median over rounds of peer seconds over trivet's.
Beside it the same blocks in bf16: what trivet would do if it were faster, and kept the top 10.
maxsim-cpu's answers are wrong for longer queries (docs/bugs.md), so 32 tokens is what can be
compared.
"""

from __future__ import annotations

import argparse
import statistics
import time

import maxsim_cpu
import torch
import torch.nn.functional as F

from trivet.bench.table import table
from trivet.core.machine import hardware
from trivet.core.maxsim import Prepared, maxsim, reference
from trivet.core.ragged import Ragged

DOCUMENTS, TOKENS, SHORTEST, LONGEST = 1000, 32, 30, 300


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(dim: int, kind: str, rounds: int) -> list[str]:
    """One line: both medians in milliseconds, the ratio with its range, and top-10 agreement."""
    torch.manual_seed(dim)
    sizes = torch.full((DOCUMENTS,), LONGEST)
    if kind == "variable":
        sizes = torch.randint(SHORTEST, LONGEST + 1, (DOCUMENTS,))
    documents = Ragged.of([F.normalize(torch.randn(n, dim), dim=-1) for n in sizes.tolist()])
    query = Ragged.of([F.normalize(torch.randn(TOKENS, dim), dim=-1)])
    prepared, asked = Prepared.of(documents), query[0].numpy()
    if kind == "variable":
        bags = [bag.numpy() for bag in documents]

        def peer():
            return maxsim_cpu.maxsim_scores_variable(asked, bags)
    else:
        block = documents.values.view(DOCUMENTS, LONGEST, dim).numpy()

        def peer():
            return maxsim_cpu.maxsim_scores(asked, block)

    def ours():
        return maxsim(query, prepared)[0]

    halves, half = [block.bfloat16() for block in prepared.blocks], query[0].bfloat16().T

    def rough():
        best = [(b.flatten(0, 1) @ half).view(*b.shape[:2], TOKENS).amax(1) for b in halves]
        return torch.cat([part.float().sum(1) for part in best])  # (N,) in the order of the rows

    exact = reference(query, documents)[0]
    torch.testing.assert_close(torch.as_tensor(peer()), exact, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours(), exact, atol=1e-4, rtol=0)
    best = set(exact.topk(10).indices.tolist())
    same = set(ours().topk(10).indices.tolist()) == best
    kept = best & set(torch.cat(prepared.rows)[rough().topk(10).indices].tolist())
    times = [(seconds(peer), seconds(ours), seconds(rough)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b, _ in times)
    medians = [1e3 * statistics.median(column) for column in zip(*times, strict=True)]
    return [
        f"{dim}, {kind} lengths",
        f"{medians[0]:.1f}",
        f"{medians[1]:.1f}",
        f"{statistics.median(ratios):.2f}",
        f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        "yes" if same else "NO",
        f"{medians[2]:.1f}",
        f"{len(kept)} of 10",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    flags = parser.parse_args()
    rows = [compare(dim, kind, flags.rounds) for dim in (48, 128) for kind in ("equal", "variable")]
    print(
        f"{hardware()['cpu']}, {torch.get_num_threads()} threads; 1000 documents, {TOKENS} tokens"
    )
    headers = ["dimension", "maxsim-cpu ms", "trivet ms", "ratio", "range", "same top 10"]
    print(table([*headers, "bf16 ms", "of the top 10"], rows))


if __name__ == "__main__":
    main()
