"""What a run will do, before it does anything: which stages run, which are found, and why."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trivet.core.artifact import Artifact, Store, artifact_key
from trivet.core.errors import ConfigError, DataError, nearest
from trivet.core.hopeless import Hopeless
from trivet.core.machine import Machine
from trivet.core.member import Member
from trivet.core.places import cache_folder
from trivet.core.ranks import world
from trivet.core.run import Resume
from trivet.core.schema import content
from trivet.core.tracker import Jsonl, Tracker
from trivet.stages.parent import open_parent
from trivet.stages.protocol import Stage
from trivet.training.settings import refuse_sharing


@dataclass
class Debug:
    """Changes for looking at a run rather than believing it."""

    steps: int | None = None
    """Train every stage for so many steps."""
    one_batch: bool = False
    """Train on the first batch again and again."""
    profile: bool = False
    """Write profile.txt, a table of where the time goes."""
    stand_in: int | None = None
    """Put what ships with trivet for what is on the hub, in batches of so many rows."""

    def __post_init__(self) -> None:
        """A batch in which a row has a neighbour."""
        if self.stand_in is not None and self.stand_in < 2:
            raise ConfigError("must be at least 2", where="stand_in", fix="Choose debug=offline")


@dataclass(kw_only=True)
class Train:
    """The whole config of `trivet train`."""

    stages: dict[str, Stage]
    """The recipe, in order; each stage is fed the artifact of the one before."""
    name: str = "run"
    """What the run is called; its folder is named so, with a hash of what it will make."""
    out: str = "outputs"
    """Holds runs/ and artifacts/."""
    cache: str | None = None
    """Holds data turned to Arrow; null is the user's cache folder."""
    machine: Machine = field(default_factory=Machine)
    """Where it runs."""
    tracker: Tracker = field(default_factory=Jsonl)
    """Where metrics go beside metrics.jsonl."""
    start: str | None = None
    """The first stage to run; it is fed `parent`, or what the stages before it left."""
    until: str | None = None
    """The last stage to run."""
    leave_out: list[str] = field(default_factory=list[str])
    """Stages that are not there: the one after is fed by the one before."""
    parent: str | None = None
    """What the first stage is fed: an artifact's folder, or a model that sentence-transformers or
    PyLate made, as a folder or a hub id."""
    force: str | None = None
    """A stage to make again, though its artifact is there."""
    resume: Resume = "auto"
    """auto: go on from the newest checkpoint; never: start over; force: go on though it differs."""
    seed: int | None = None
    """The seed of the stage under study, the last one; earlier stages keep their own."""
    seed_from: str | None = None
    """`seed` holds from this stage on."""
    debug: Debug = field(default_factory=Debug)
    """Short runs, one batch, a profile."""
    measure: str | None = None
    """What `trivet eval` is told of each model that a sweep makes, such as `--bench demo`; a run
    of its own is measured by hand."""
    objective: str = ""
    """What a sweeper looks at: a metric of the training log (`loss`, `dev/ndcg@10`), or of the
    bench; empty is the bench's main one."""
    hopeless: Hopeless | None = None
    """Ends runs of a sweep early that are worse than most were at the same step."""
    baseline: dict[str, Any] | None = None
    """The level of an ablation that the others are set against."""
    sweep: Member | None = None
    """The sweep that this run belongs to; `trivet train -m` fills it in."""

    def __post_init__(self) -> None:
        """Names that must be stages, and at least one stage."""
        if not self.stages:
            raise ConfigError("no stage", where="stages", fix="Choose a recipe: +exp=tiny")
        seeds = {"seed": self.seed} | {f"stages.{n}.seed": s.seed for n, s in self.stages.items()}
        for where, seed in seeds.items():
            if seed is not None and not 0 <= seed < 2**63:
                raise ConfigError("must lie between 0 and 2^63", where=where)
        self._check(self.leave_out, "leave_out")
        self.stages = {
            name: stage for name, stage in self.stages.items() if name not in self.leave_out
        }
        for key in ("start", "until", "force", "seed_from"):
            name = getattr(self, key)
            self._check([] if name is None else [name], key)
        names = list(self.stages)
        if self.start and self.until and names.index(self.start) > names.index(self.until):
            raise ConfigError(f"{self.start} comes after {self.until}", where="start")
        if self.seed_from and self.seed is None:
            raise ConfigError("needs seed", where="seed_from", fix="Set seed=0")

    def _check(self, names: list[str], key: str) -> None:
        for name in names:
            if name not in self.stages:
                raise ConfigError(f"no stage {name}", where=key, fix=nearest(name, self.stages))

    @property
    def store(self) -> Store:
        """The artifacts."""
        return Store(Path(self.out).expanduser() / "artifacts", self.machine.store)

    @property
    def cache_folder(self) -> Path:
        """Where data is kept as Arrow."""
        return Path(self.cache).expanduser() if self.cache else cache_folder()


@dataclass(frozen=True)
class Step:
    """One stage of the plan."""

    name: str
    stage: Stage
    key: str  # empty where it is skipped, or not known without the hub or a file
    action: Literal["run", "reuse", "skip"]
    reason: str
    artifact: Artifact | None
    again: bool = False  # it is made even if it is there


def plan(train: Train, *, unreachable: bool = False) -> list[Step]:
    """Compute every stage's key, look each up, and say what will happen.

    A key holds the commits of data and models on the hub, and the digests of files. `unreachable`
    allows a plan without those that are not to be had now, to be shown and not to be carried out.
    """
    names = list(train.stages)
    first = names.index(train.start) if train.start else 0
    last = names.index(train.until) if train.until else len(names) - 1
    parent = open_parent(train.parent) if train.parent else None
    steps: list[Step] = []
    key = parent.key if parent else None
    again = False
    for i, name in enumerate(names[: last + 1]):
        if i < first and parent is not None:
            steps.append(Step(name, train.stages[name], "", "skip", "parent is given", None))
            continue
        stage = _seeded(train, name, last)
        try:
            stage.accept(parent is not None or bool(steps))
        except ConfigError as error:
            where = f"stages.{name}"
            raise ConfigError(error.what, where=where, fix=error.fix) from None
        try:
            what = content(stage)
        except DataError as error:
            if not unreachable or i < first:
                raise
            key, reason = "", f"no key yet: {error.where}: {error.what}"
            steps.append(Step(name, stage, key, "run", reason, None))
            continue
        if key == "":
            steps.append(Step(name, stage, key, "run", "its parent has no key yet", None))
            continue
        key = artifact_key(name, stage.version, what, [key] if key else [])
        found = train.store.find(name, key)
        if i < first:
            if found is None:
                raise ConfigError(
                    f"{name} is not finished, and {train.start} needs it",
                    where="start",
                    fix="Leave start out, or give parent=FOLDER",
                )
            steps.append(Step(name, stage, key, "reuse", f"before {train.start}", found))
        elif train.force == name or again:
            reason = f"force={name}" if train.force == name else "what it is made from changes"
            steps.append(Step(name, stage, key, "run", reason, None, again=True))
            again = True
        elif found is not None:
            steps.append(Step(name, stage, key, "reuse", "finished before", found))
        else:
            steps.append(Step(name, stage, key, "run", "not made yet", None))
    if train.machine.shard and max(train.machine.processes, world()) > 1:
        for step in steps:
            if step.action == "run" and step.stage.fit is not None:
                refuse_sharing(step.stage.fit, getattr(step.stage, "optim", None), step.name)
    return steps


def _seeded(train: Train, name: str, last: int) -> Stage:
    """The stage with the run's seed, if it is under study, and the debug settings."""
    names = list(train.stages)
    stage = train.stages[name]
    if train.debug.stand_in is not None:
        from trivet.stages.standin import stand_in  # torch, which no other plan needs

        stage = stand_in(stage, train.debug.stand_in)
    changes: dict[str, object] = {}
    under_study = names.index(train.seed_from) if train.seed_from else last
    if train.seed is not None and names.index(name) >= under_study:
        changes["seed"] = train.seed
    if stage.fit is not None and (train.debug.steps is not None or train.debug.one_batch):
        steps = train.debug.steps if train.debug.steps is not None else stage.fit.steps
        one_batch = train.debug.one_batch or stage.fit.one_batch
        changes["fit"] = dataclasses.replace(stage.fit, steps=steps, one_batch=one_batch)
    return dataclasses.replace(stage, **changes) if changes else stage  # pyright: ignore


def lines(steps: list[Step], train: Train) -> list[str]:
    """The plan as a person reads it."""
    out: list[str] = []
    for step in steps:
        where = train.store.place(step.name, step.key) if step.key else "-"
        out.append(f"{step.action:<6} {step.name:<10} {step.reason:<24} {where}")
    return out
