# pyright: basic, reportPrivateUsage=false, reportAttributeAccessIssue=false
"""The one adapter to transformers' Trainer: every stage trains through `fit`.

The Trainer brings devices, mixed precision, accumulation and clipping (accelerate underneath). What
must be exact is ours: batches are a function of the step, a checkpoint holds everything that the
next step depends on, and a loss is a function the stage hands in.
"""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.utils import logging as hf_logging

from trivet.core.errors import ArtifactError, Interrupted, TrivetError
from trivet.core.machine import precision_reason
from trivet.core.prefetch import prefetch
from trivet.core.progress import Progress
from trivet.core.ranks import first, wait, world
from trivet.core.records import Batch
from trivet.core.run import Work
from trivet.core.seeds import derive, seed_everything
from trivet.optim.adamw import OptimizerConfig
from trivet.training import checkpoint
from trivet.training.callbacks import Steps
from trivet.training.meter import Meter
from trivet.training.optimizers import optimizers
from trivet.training.settings import Check, Fit, Prepared, refuse_sharing
from trivet.training.shard import sharded, whole
from trivet.training.signals import Asked, listening
from trivet.training.step import Loss, Stepper

log = logging.getLogger("trivet")


class Batches(Protocol):
    """Batches by step: a pure function of the step."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        ...


Inputs = dict[str, Any]  # "batch": what prepare made; "rows": how many; "ids": for error messages


def fit(
    model: nn.Module,
    batches: Batches,
    prepare: Callable[[Batch], Prepared],
    loss: Loss,
    *,
    optim: OptimizerConfig,
    settings: Fit,
    seed: int,
    work: Work,
    check: Check | None = None,
    report: Callable[[], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Train a model in place and return what happened, for the manifest.

    `prepare` turns a batch into texts for the model and targets for the loss, in a thread, one step
    ahead; `loss` judges the model's vectors of those texts by the targets. Resumes from the newest
    checkpoint in the stage's folder as `run.resume` says. `report`: metrics beside the loss.
    """
    available = len(batches) // settings.accumulate
    steps = available if settings.steps is None else settings.steps
    if not settings.one_batch:
        steps = min(steps, available)
    if steps < 1:
        raise TrivetError("the data does not fill one step", where=work.stage, fix="Lower batch")
    device = work.run.machine.resolve()
    log.info("%s: %s", work.stage, precision_reason(settings.precision, device))
    if settings.steps is not None and steps < settings.steps:
        log.warning("%s: the data fills %d steps, not %d", work.stage, steps, settings.steps)
    start = _resume_from(work)
    if _done(start, steps) and work.again:
        log.info("%s: finished before, and made again", work.stage)
        start = _start_over(work)
    if start is not None and _done(start, steps):
        log.info("%s: all its steps were done, %d of %d", work.stage, start.step, steps)
    seed_everything(seed)
    _quiet()
    split = work.run.machine.shard and world() > 1
    if split:
        refuse_sharing(settings, optim, work.stage)
    trained = sharded(model, device) if split else model
    arguments = TrainingArguments(
        output_dir=str(work.folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.accumulate,
        max_grad_norm=settings.clip,
        use_cpu=device == "cpu",
        seed=seed,
        report_to="none",
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        disable_tqdm=True,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # several GPUs are several ranks, never DataParallel
    with (
        listening() as asked,
        Progress(work.stage, steps, "step") as progress,
        _profiler(work) as profiler,
    ):
        callback = Steps(work, settings, steps, progress, check, model, report)
        trainer = _Adapter(
            model=trained,
            args=arguments,
            callbacks=[callback],
            optimizers=optimizers(trained, optim, steps, work.stage),
        )
        callback.trainer = trainer
        trainer.feed = _Feed(batches, prepare, settings, start.step if start else 0)
        trainer.start, trainer.asked, trainer.meter = start, asked, Meter(trained)
        trainer.stepper = Stepper(
            trained,
            loss,
            settings,
            budget=work.run.machine.micro_tokens,
            hold=work.run.machine.held_micro_batches,
            seed=derive(seed, "draws"),
            what=work.stage,
            split=split,
        )
        bare: Any = lambda model, **_: model  # noqa: E731 - gradients are averaged by the stepper
        trainer.accelerator.prepare_model = bare
        if start is None or not _done(start, steps):
            with closing(trainer.feed):
                trainer.train()
        else:
            start.restore(trained)
            callback.adopt(start)
    if profiler is not None:
        table = profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        (work.folder / "profile.txt").write_text(table, encoding="utf-8")
        log.info("%s: profile written to %s", work.stage, work.folder / "profile.txt")
    if trainer.stopping and callback.step < steps and not callback.stopped_early:
        number = asked.signal or signal.SIGTERM
        raise Interrupted(
            f"stopped by signal {number} and saved at step {callback.step} of {steps}",
            signal=number,
            fix="The same command goes on from there",
        )
    return callback.facts() | {"steps_available": available}


def _done(start: checkpoint.Checkpoint | None, steps: int) -> bool:
    """Whether a checkpoint is a training's last: of all steps, or where it stopped by itself."""
    return start is not None and (start.step >= steps or bool(start.state["stopped_early"]))


def _resume_from(work: Work) -> checkpoint.Checkpoint | None:
    """The checkpoint to go on from, as `resume` says; what is restored is logged."""
    found = checkpoint.newest(work.folder)
    if work.run.resume == "never" or found is None:
        if found is not None:
            log.info("%s: resume=never, starting over", work.stage)
        return _start_over(work)
    if found.state["key"] != work.key and work.run.resume != "force":
        raise ArtifactError(
            "this checkpoint is of another config, data or tokenizer",
            where=str(found.path),
            fix="resume=never starts over; resume=force goes on all the same",
        )
    log.info("%s: weights and optimiser restored from %s", work.stage, found.path)
    wait()  # all ranks have looked
    if first():
        checkpoint.set_aside(work.folder, found.step)
    work.forget_after(found.step)
    return found


def _start_over(work: Work) -> None:
    """Without the checkpoints and metrics of a training before."""
    wait()  # all ranks have looked
    if first():
        checkpoint.rotate(work.folder, keep=0)
    work.forget_after(-1)


class _Feed:
    """The batches from a step on, prepared ahead. It has no length: max_steps decides."""

    def __init__(
        self, batches: Batches, prepare: Callable[[Batch], Prepared], settings: Fit, step: int
    ) -> None:
        self.batches, self.prepare, self.settings, self.step = batches, prepare, settings, step
        self.flow: Generator[Inputs] | None = None

    def __iter__(self) -> Generator[Inputs]:
        first = self.step * self.settings.accumulate
        places = range(first, len(self.batches))
        if self.settings.one_batch:
            places = (0 for _ in iter(int, 1))
        self.flow = prefetch((self.batches[place] for place in places), self._make)
        return self.flow

    def close(self) -> None:
        """End the thread that prepares, however training ended."""
        if self.flow is not None:
            self.flow.close()

    def _make(self, batch: Batch) -> Inputs:
        return {"batch": self.prepare(batch), "rows": len(batch.rows), "ids": batch.ids}


class _Adapter(Trainer):
    """The Trainer, fed and judged by us."""

    feed: _Feed
    stepper: Stepper
    meter: Meter
    asked: Asked
    stopping: bool = False  # one of the ranks was asked to stop
    start: checkpoint.Checkpoint | None
    ids: list[str]

    def get_train_dataloader(self) -> Any:
        return self.feed

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        began = time.monotonic()
        found: list[Inputs] = [next(epoch_iterator) for _ in range(num_batches)]
        waited = time.monotonic() - began
        rows = sum(inputs["rows"] for inputs in found)
        self.meter.add(rows, sum(len(inputs["batch"].tokens.values) for inputs in found), waited)
        return found, None

    def _prepare_for_training(self, *args: Any, **options: Any) -> Any:
        out = super()._prepare_for_training(*args, **options)
        if self.start is not None:
            model: Any = self.model
            optimizer: Any = self.optimizer
            optimizer, scheduler = optimizer.optimizer, cast(Any, self.lr_scheduler)
            self.start.restore(model, optimizer)
            self.state.global_step = self.start.step
            scheduler.last_epoch, scheduler._step_count = self.start.step, self.start.step + 1
            scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]
        return out

    def training_step(self, model: Any, inputs: Inputs, *args: Any, **options: Any) -> Tensor:
        """Gradients of one batch; after the last of a step they are averaged over the ranks."""
        model.train()
        self.ids = inputs["ids"]
        value = self.stepper.add(inputs["batch"], self.state.global_step)
        if not math.isfinite(value):
            raise self._not_finite("the loss", value)
        mean = 0.0
        if self.stepper.done == self.args.gradient_accumulation_steps:
            mean, self.stopping = self.stepper.finish(self.asked.signal or 0)
        return torch.tensor(mean, device=self.args.device)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> float:
        norm = float(whole(cast(Any, super()._get_grad_norm(model, grad_norm))))
        if not math.isfinite(norm):
            raise self._not_finite("the gradient norm", norm)
        return norm

    def _not_finite(self, what: str, value: float) -> TrivetError:
        shown = ", ".join(self.ids[:8]) + (", …" if len(self.ids) > 8 else "")
        return TrivetError(
            f"{what} is {value} in step {self.state.global_step + 1}, batch {shown}",
            fix="Lower lr or look at these rows; earlier checkpoints, if any, are good",
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Nothing: metrics are written by our own callback."""


def _profiler(work: Work) -> Any:
    return torch.profiler.profile(record_shapes=False) if work.run.profile else nullcontext()


def _quiet() -> None:
    hf_logging.set_verbosity_error()
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
