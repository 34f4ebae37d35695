"""One rank: the gradients of one contrastive step, for several widths, written to a file."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed
from torch import nn

from trivet.core.ragged import Ragged
from trivet.core.ranks import join, rank, world
from trivet.losses.angle import Angle
from trivet.losses.bce import BCE
from trivet.losses.espresso import Espresso
from trivet.losses.infonce import InfoNCE
from trivet.losses.kl import KL, Side
from trivet.losses.lambda_loss import LambdaLoss
from trivet.losses.listwise import Listwise
from trivet.losses.matryoshka import Matryoshka
from trivet.losses.xtr import XTR
from trivet.stages.in_batch import Texts, judge
from trivet.stages.late import Term
from trivet.stages.late import judge as judge_bags
from trivet.stages.reranker import judge as judge_lists
from trivet.training.gather import summed
from trivet.training.settings import Fit, Prepared
from trivet.training.step import Stepper

BATCH = 12


class Bag(nn.Module):
    """Token embeddings, averaged, mixed, normalised: in 64 bits."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(50, 8, dtype=torch.float64)
        self.mix = nn.Linear(8, 8, dtype=torch.float64)

    def forward(self, rows):
        means = torch.stack([self.words(row).mean(0) for row in rows])
        return nn.functional.normalize(self.mix(means).tanh(), dim=-1)


class Tokens(Bag):
    """A normalised vector for each token."""

    def forward(self, rows):
        vectors = self.mix(self.words(rows.values)).tanh()
        return Ragged(nn.functional.normalize(vectors, dim=-1), rows.offsets)


class Scores(Bag):
    """A number for each text, as a cross-encoder gives one for each pair."""

    def forward(self, rows):
        return super().forward(rows).sum(-1)


def texts(width):
    """The whole batch: queries and `width` documents each, some of them copies."""
    draw = torch.Generator().manual_seed(width)
    rows = [
        torch.randint(0, 50, (int(torch.randint(1, 9, (), generator=draw)),), generator=draw)
        for _ in range(BATCH * (1 + width))
    ]
    queries, documents = rows[:BATCH], rows[BATCH:]
    documents[-1], queries[3] = documents[0], queries[7]  # false negatives, across ranks
    return queries, documents


def share(width):
    """This rank's rows, as a mixture deals them."""
    queries, documents = texts(width)
    mine = range(rank(), BATCH, world())
    own = [documents[i * width + j] for i in mine for j in range(width)]
    numbers = [hash(tuple(row.tolist())) for row in [*(queries[i] for i in mine), *own]]
    found = torch.tensor(numbers)
    tokens = Ragged.of([*(queries[i] for i in mine), *own])
    labels = torch.arange(BATCH * width, dtype=torch.float64).sin().view(BATCH, width)
    return Prepared(tokens, Texts(found[: len(mine)], found[len(mine) :], labels[list(mine)]))


LOSSES = {"infonce": InfoNCE(0.05), "angle": Angle(), "espresso": InfoNCE(0.05)}
LATE = {
    "kl": Term(KL(Side("minmax"), Side("z", 0.5))),
    "nce": Term(InfoNCE(0.1), 0.5),
    "xtr": Term(XTR(9, 0.1), 0.3),
}
RERANK = {"bce": BCE("sigmoid"), "listwise": Listwise(1.0, Side("minmax")),
          "lambda": LambdaLoss(scale="minmax")}  # fmt: skip


def lists(width):
    """This rank's rows of `width` pairs each, and their labels."""
    whole = share(width)
    rows = len(whole.targets.labels)
    return Prepared(whole.tokens.part(rows, len(whole.tokens)), whole.targets.labels)


def step(name, width, cached, budget):
    model = Tokens() if name == "late" else Scores() if name in RERANK else Bag()
    settings = Fit(batch=BATCH, precision="fp32", cached=cached)

    def loss(vectors, texts):
        if name == "late":
            return judge_bags(LATE, vectors, texts)
        if name in RERANK:
            return judge_lists(RERANK[name], vectors, texts)
        if name == "espresso":
            layers = torch.stack([vectors.roll(1, dims=1), vectors], dim=1)  # (N, 2, D)
            return Espresso([1, 2], 4)(lambda v: judge(LOSSES[name], v, texts), layers, summed)
        return Matryoshka([4, 8])(lambda part: judge(LOSSES[name], part, texts), vectors)

    stepper = Stepper(model, loss, settings, budget=budget, seed=0, what="test")
    stepper.add(lists(width) if name in RERANK else share(width), 0)
    value, stop = stepper.finish(asked=rank())
    grads = [p.grad.flatten().tolist() for p in model.parameters()]
    return {"loss": value, "stop": stop, "grads": sum(grads, [])}


def main(out):
    reduces = []
    if world() > 1:
        distributed = join()
        reduce = distributed.all_reduce
        torch.distributed.all_reduce = lambda *a, **k: (reduces.append(1), reduce(*a, **k))[1]
    found = {
        f"{name} {n} {cached}": step(name, 1 + n, cached, 16)
        for name in [*LOSSES, "late", *RERANK]
        for n in (0, 1, 3)
        for cached in (0, 1)
        if n or name == "infonce"
    }
    Path(out, f"{world()}-{rank()}.json").write_text(
        json.dumps({"found": found, "reduces": len(reduces)})
    )


if __name__ == "__main__":
    main(sys.argv[1])
