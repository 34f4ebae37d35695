"""What happens between steps: metrics, the dev check, checkpoints, and ending early."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import TrainerCallback

from trivet.core.errors import ArtifactError, TrivetError
from trivet.core.progress import Progress
from trivet.core.ranks import first, gather, wait
from trivet.core.run import Work
from trivet.training import checkpoint
from trivet.training.settings import Check, Fit
from trivet.training.shard import copy_weights, local

log = logging.getLogger("trivet")


class Steps(TrainerCallback):
    """Called by the Trainer after every optimiser step."""

    trainer: Any = None

    def __init__(
        self,
        work: Work,
        settings: Fit,
        steps: int,
        progress: Progress,
        check: Check | None,
        model: nn.Module,
        report: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Watch a run of so many steps; `model` is the whole one, if training splits it."""
        self.report = report
        self.model, self.work, self.settings, self.steps = model, work, settings, steps
        self.progress, self.check = progress, check
        self.step = 0
        self.best: dict[str, Any] | None = None
        self.misses = 0
        self.losses: list[float] = []
        self.stopped_early = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take over what a checkpoint remembers."""
        start = self.trainer.start
        if start is not None:
            self.adopt(start)
            self.progress.add(start.step)
        self.trainer.meter.begin()

    def adopt(self, start: checkpoint.Checkpoint) -> None:
        """Go on where a checkpoint ended."""
        self.step, self.best = start.step, start.state["best"]
        self.misses, self.losses = start.state["misses"], list(start.state["losses"])
        self.stopped_early = bool(start.state["stopped_early"])

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Note the rate that this step will use."""
        self.rate = float(self.trainer.lr_scheduler.get_last_lr()[0])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Log, measure, save, and stop when asked to or when the dev metric no longer rises."""
        self.step = int(state.global_step)
        self.trainer.meter.step()
        self.losses.append(float(self.trainer._tr_loss))
        self.trainer._tr_loss -= self.trainer._tr_loss
        last = self.step >= self.steps
        self.progress.add(1, f"loss {self.losses[-1]:.4f}")
        if self.step % self.settings.log_every == 0 or last:
            mean = sum(self.losses) / len(self.losses)
            more = self.report() if self.report else {}
            self.work.log(self.step, {"loss": mean, "lr": self.rate, **more})
            self.work.log(self.step, self.trainer.meter.report() | {"of": self.steps}, to="speed")
            self._judge({"loss": mean})
            self.losses.clear()
        if self.check is not None and (self.step % self.check.every == 0 or last):
            self._measure(self.check)
        asked = self.trainer.stopping
        if self.step % self.settings.save_every == 0 or last or asked or self.stopped_early:
            self.save()
        if asked or self.stopped_early:
            control.should_training_stop = True

    def _measure(self, check: Check) -> None:
        model = self.trainer.model
        copy_weights(model, self.model)
        self.model.eval()
        with torch.random.fork_rng():
            metrics = check.measure()
        self.model.train()
        named = {f"dev/{name}": value for name, value in metrics.items()}
        self.work.log(self.step, named)
        self._judge(named)
        value = metrics[check.metric]
        log.info("%s: step %d, dev %s %.4f", self.work.stage, self.step, check.metric, value)
        if self.best is None or value > self.best["value"]:
            self.best, self.misses = {"step": self.step, "value": value}, 0
            self.save()
            return
        self.misses += 1
        if check.patience is not None and self.misses >= check.patience:
            self.stopped_early = True
            log.info("%s: no better in %d checks, stopping", self.work.stage, self.misses)

    def _judge(self, metrics: dict[str, float]) -> None:
        """Ask whether the run is worth going on with; the last step is done anyway."""
        if self.work.run.judge is not None and self.step < self.steps:
            self.work.run.judge(self.work.stage, self.step, metrics)

    def save(self) -> None:
        """Write this step's checkpoint and delete old ones; weights that are no numbers end it."""
        named: Any = self.trainer.model.named_parameters()
        wrong = [name for name, own in named if not torch.isfinite(local(own)).all()]
        wrong = [name for names in gather(wrong) for name in names]
        if wrong:
            fix = "Lower lr; earlier checkpoints, if any, are good"
            what = f"{wrong[0]} is no longer finite after step {self.step}"
            raise TrivetError(what, where=self.work.stage, fix=fix)
        extra = {
            "key": self.work.key,
            "best": self.best,
            "misses": self.misses,
            "losses": self.losses,
            "stopped_early": self.stopped_early,
        }
        folder, trainer = self.work.folder, self.trainer
        checkpoint.write(folder, self.step, trainer.model, trainer.optimizer.optimizer, extra)
        best = self.best["step"] if self.best else None
        if first():
            checkpoint.rotate(folder, self.settings.keep, also=best)

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the training, and the best weights back in the model."""
        wait()
        if self.best is not None and self.best["step"] != self.step:
            try:
                best = checkpoint.read(checkpoint.place(self.work.folder, self.best["step"]))
                best.restore(self.trainer.model)
            except (ArtifactError, SafetensorError) as error:
                log.warning("%s: the best step is lost, the last one is kept: %s",
                            self.work.stage, error)  # fmt: skip
                self.best = {**self.best, "lost": True}
        copy_weights(self.trainer.model, self.model)
        return {
            "steps": self.step,
            "dev": self.best,
            "last": self.work.last(),
            "stopped_early": self.stopped_early,
            **self.trainer.meter.facts(),
        }
