"""Training through the one adapter: what it promises a stage."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from trivet.core.artifact import Store
from trivet.core.errors import ArtifactError, TrivetError
from trivet.core.machine import Machine
from trivet.core.ragged import Ragged, concatenate
from trivet.core.records import Batch
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.training import checkpoint
from trivet.training.fit import fit
from trivet.training.settings import Check, Fit, Prepared


class Numbers:
    """Batches of numbers to fit a line to: batch i is a function of i."""

    def __init__(self, steps: int, poison: int | None = None) -> None:
        self.steps, self.poison = steps, poison

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        texts = ["nan" if step == self.poison else str(step % 7 + i) for i in range(4)]
        return Batch("numbers", list(range(step * 4, step * 4 + 4)), texts, [[t] for t in texts],
                     None, {})  # fmt: skip


def prepare(batch: Batch) -> Prepared:
    x = torch.tensor([[float(text)] for text in batch.queries])
    return Prepared(Ragged.of(list(x[:, None])), 2 * x + 1)


def loss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return (found - wanted).pow(2).mean()


class Line(nn.Linear):
    """A model of rows of one number each."""

    def forward(self, rows: Ragged) -> torch.Tensor:
        return super().forward(rows.values)


def line() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Line(1, 1)


def work(folder: Path, resume="auto", key="k" * 64) -> Work:
    run = Run(folder, "run", {}, Store(folder / "store"), folder, Machine("cpu"), Jsonl(), resume)
    return Work(run, "line", key, {})


def train(folder: Path, batches=None, model=None, check=None, resume="auto", key="k" * 64, **kw):
    settings = Fit(**{"batch": 4, "precision": "fp32", "log_every": 1, "save_every": 1} | kw)
    model = line() if model is None else model
    optim = AdamW(lr=0.05, weight_decay=0.0, schedule=Schedule("constant"))
    facts = fit(
        model,
        batches or Numbers(8),
        prepare,
        loss,
        optim=optim,
        settings=settings,
        seed=0,
        work=work(folder, resume, key),
        check=check,
    )
    return model, facts


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_one_batch_again_and_again_is_learned(tmp_path):
    model, facts = train(tmp_path, steps=300, one_batch=True, save_every=1000)
    assert facts["steps"] == 300
    batch = prepare(Numbers(1)[0])
    assert loss(model(batch.tokens), batch.targets).item() < 1e-2


def test_steps_are_bounded_by_the_data_and_it_is_said(tmp_path, caplog):
    _, facts = train(tmp_path, steps=100)
    assert "line: the data fills 8 steps, not 100" in caplog.text
    assert facts["steps"] == 8
    assert facts["steps_available"] == 8


def test_accumulated_batches_step_as_one_large_batch(tmp_path):
    """Two batches of four, accumulated, must give the step of their eight rows together."""
    model, _ = train(tmp_path, steps=1, accumulate=2, clip=0.0)
    other = line()
    optimizer = torch.optim.AdamW(other.parameters(), lr=0.05, weight_decay=0.0)
    both = [prepare(Numbers(2)[0]), prepare(Numbers(2)[1])]
    found = other(concatenate([batch.tokens for batch in both]))
    loss(found, torch.cat([batch.targets for batch in both])).backward()
    optimizer.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_clipping_bounds_the_gradient(tmp_path):
    seen = []

    model = Line(1, 1)
    model.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.norm().item()))
    train(tmp_path, model=model, steps=1, clip=0.001)
    assert seen[0] > 1.0  # the raw gradient is large, and was clipped after this hook
    assert model.weight.grad is None or model.weight.grad.norm() <= 0.0011


def test_a_nan_loss_names_its_rows_and_leaves_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrivetError, match=r"step 4, batch numbers row 12, numbers row 13"):
        train(tmp_path, batches=Numbers(8, poison=3))
    found = checkpoint.newest(tmp_path / "line")
    assert found is not None and found.step == 3
    model = line()
    found.restore(model)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_four_steps_equal_two_and_two_more(tmp_path):
    whole, _ = train(tmp_path / "whole", steps=4)

    class Stop(Exception):
        pass

    class Halting(Numbers):
        def __getitem__(self, step: int) -> Batch:
            if step == 2:
                raise Stop
            return super().__getitem__(step)

    with pytest.raises(Stop):
        train(tmp_path / "parts", batches=Halting(8), steps=4)
    parts, _ = train(tmp_path / "parts", steps=4)
    assert same(whole, parts)
    lines = [(tmp_path / run / "line/metrics.jsonl").read_text() for run in ("whole", "parts")]
    assert lines[0] == lines[1]


def test_a_checkpoint_of_another_config_is_refused_unless_forced(tmp_path):
    train(tmp_path, steps=2)
    with pytest.raises(ArtifactError, match="resume=never starts over"):
        train(tmp_path, steps=4, key="other" * 10)
    _, facts = train(tmp_path, steps=4, key="other" * 10, resume="force")
    assert facts["steps"] == 4


def test_resume_never_starts_over(tmp_path):
    train(tmp_path, steps=2)
    train(tmp_path, steps=3, resume="never")
    lines = (tmp_path / "line/metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in lines] == [1, 2, 3]


def test_a_finished_training_that_is_forced_is_done_again(tmp_path):
    train(tmp_path, steps=3)
    place = work(tmp_path)
    place.again = True
    settings = Fit(batch=4, precision="fp32", log_every=1, save_every=1, steps=3)
    optim = AdamW(lr=0.05, schedule=Schedule("constant"))
    facts = fit(
        line(), Numbers(8), prepare, loss, optim=optim, settings=settings, seed=0, work=place
    )
    assert facts["seconds_per_step"] > 0 and facts["rows_per_second"] > 0
    lines = (tmp_path / "line/metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in lines] == [1, 2, 3]


@pytest.mark.parametrize("harm", ["{}", "[]", '{"step": 2, "opt', ""])
def test_a_damaged_state_is_passed_over_for_the_checkpoint_before(tmp_path, harm, caplog):
    caplog.set_level(logging.INFO, "trivet")
    whole, _ = train(tmp_path / "whole", steps=4)
    train(tmp_path, steps=2)
    (tmp_path / "line/step-00000002/state.json").write_text(harm)
    parts, _ = train(tmp_path, steps=4, keep=1)
    assert "restored from" in caplog.text and "step-00000001" in caplog.text
    assert same(whole, parts)
    assert [path.name for path in (tmp_path / "line").glob("*step-*")] == ["step-00000004"]


def test_a_single_step_has_a_time(tmp_path):
    assert train(tmp_path, steps=1)[1]["seconds_per_step"] > 0


def test_old_checkpoints_are_deleted_and_the_best_is_kept(tmp_path):
    scores = iter([0.1, 0.9, 0.2, 0.3, 0.4, 0.5])
    check = Check(lambda: {"ndcg@10": next(scores)}, "ndcg@10", every=1, patience=None)
    model, facts = train(tmp_path, steps=6, keep=2, check=check)
    steps = sorted(path.name for path in (tmp_path / "line").glob("step-*"))
    assert steps == ["step-00000002", "step-00000005", "step-00000006"]
    assert facts["dev"] == {"step": 2, "value": 0.9}
    best = line()
    checkpoint.read(tmp_path / "line/step-00000002").restore(best)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), best.parameters(), strict=True)
    )


def test_training_stops_when_the_dev_metric_no_longer_rises(tmp_path):
    scores = iter([0.5, 0.4, 0.3, 0.9, 0.9])
    check = Check(lambda: {"ndcg@10": next(scores)}, "ndcg@10", every=1, patience=2)
    _, facts = train(tmp_path, steps=8, check=check)
    assert facts["stopped_early"] and facts["steps"] == 3
    assert facts["dev"]["step"] == 1


def test_weights_that_are_no_numbers_are_neither_saved_nor_a_result(tmp_path):
    settings = Fit(batch=4, precision="fp32", save_every=1, steps=1)
    optim = AdamW(lr=1e39, schedule=Schedule("constant"))
    place = work(tmp_path)
    with pytest.raises(TrivetError, match=r"line: weight is no longer finite after step 1"):
        fit(line(), Numbers(8), prepare, loss, optim=optim, settings=settings, seed=0, work=place)
    assert not list((tmp_path / "line").glob("step-*"))


def test_a_training_that_stopped_by_itself_and_was_killed_then_is_not_gone_on_with(tmp_path):
    scores = iter([0.5, 0.4, 0.3])
    check = Check(lambda: {"ndcg@10": next(scores)}, "ndcg@10", every=1, patience=2)
    first, facts = train(tmp_path, steps=8, check=check)
    again, found = train(tmp_path, steps=8, check=check)  # no artifact was saved meanwhile
    assert same(first, again) and (found["steps"], found["dev"]) == (3, facts["dev"])


def test_a_best_step_that_is_damaged_leaves_the_last_one_and_it_is_said(tmp_path, caplog):
    scores = iter([0.9, 0.2, 0.3])

    def measure() -> dict[str, float]:
        found = next(scores)
        if found == 0.3:
            (tmp_path / "line/step-00000001/model.safetensors").write_bytes(b"")
        return {"ndcg@10": found}

    model, facts = train(tmp_path, steps=3, check=Check(measure, "ndcg@10", 1, None))
    plain, _ = train(tmp_path / "plain", steps=3)
    assert same(model, plain) and "the best step is lost" in caplog.text
    assert facts["dev"] == {"step": 1, "value": 0.9, "lost": True}


def test_a_dev_check_does_not_change_training(tmp_path):
    def measure() -> dict[str, float]:
        torch.rand(3)
        return {"ndcg@10": 0.0}

    plain, _ = train(tmp_path / "a", steps=4)
    check = Check(measure, "ndcg@10", every=4, patience=None)
    watched, _ = train(tmp_path / "b", steps=4, check=check)
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True)
    )


def test_the_chosen_precision_and_its_reason_are_told(tmp_path, caplog):
    with caplog.at_level("INFO", logger="trivet"):
        train(tmp_path, steps=1)
    assert "fp32, as configured" in caplog.text


def test_data_that_fills_no_step_is_an_error(tmp_path):
    with pytest.raises(TrivetError, match="does not fill one step"):
        train(tmp_path, batches=Numbers(1), accumulate=2)
