"""`trivet train`: compose the config, check it, show the plan, carry it out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from trivet.cli.choices import listing
from trivet.core import ranks
from trivet.core.errors import ConfigError, GivenUp, RanksFailed, TrivetError, nearest
from trivet.core.files import write_bytes
from trivet.core.places import config_folder

_USAGE = """\
usage: trivet train +exp=NAME [key=value …] [-m] [--dry-run | --estimate] [--config-dir DIR]

Runs a recipe: its stages in order, each fed the artifact of the one before. What is finished is
found and used again; what was interrupted goes on where it was saved.

  +exp=NAME              the recipe
  stages.NAME.KEY=VALUE  any value of a stage, such as stages.pretrain.optim.lr=1e-3
  GROUP@stages.NAME.GROUP=OPTION
                         another part for a stage: backbone@stages.pretrain.backbone=minilm
  +ablation=NAME -m      the runs of a table; trivet sweep says how far they are
  debug=NAME             a run to look at, not to believe; debug=offline needs no network
  machine=NAME, tracker=NAME
  start=STAGE until=STAGE force=STAGE parent=MODEL resume=auto|never|force seed=N seed_from=STAGE
  -m, --multirun         every combination of comma-separated values: seed=1,2,3
  --dry-run              print the plan with every source and value, and stop
  --estimate             time a few steps of each stage that would run, and stop
  --pack N               of a sweep: so many runs in one array element, one after another
  --max-parallel N       of a sweep: so many elements at the same time
  --write-config FILE    write the composed config for `python -m trivet.cli.worker FILE`, and stop
  --config-dir DIR       a config folder of your own, searched after trivet's
  --cfg job              print the composed config and stop
  --debug                show tracebacks
"""
_FLAGS = {  # and whether a value follows
    "--dry-run": False,
    "--estimate": False,
    "-m": False,
    "--multirun": False,
    "--pack": True,
    "--max-parallel": True,
    "--write-config": True,
    "--config-dir": True,
    "--cfg": True,
    "--resolve": False,
    "--package": True,
}
_GROUPS = ["exp", "ablation", "debug", "backbone", "data", "optim", "machine", "tracker"]


def run(argv: list[str]) -> int:
    """Take trivet's own flags off the words and give the rest to Hydra."""
    if "-h" in argv or "--help" in argv:
        extra = argv[argv.index("--config-dir") + 1 :] if "--config-dir" in argv else []
        print(_USAGE)
        print(listing(_GROUPS, Path(extra[0]) if extra else None))
        return 0
    flags, overrides = _sorted(argv)
    several = bool({"-m", "--multirun"} & set(flags))
    if not several and any(word.startswith("+ablation=") for word in overrides):
        raise ConfigError("an ablation is several runs", where="+ablation", fix="Add -m")
    for flag in ("pack", "max-parallel"):
        value = _value(flags, f"--{flag}")
        if value is not None and not several:
            raise ConfigError("is of a sweep", where=f"--{flag}", fix="Add -m")
        if value is not None:
            overrides.append(f"++machine.launch.{flag.replace('-', '_')}={value}")
    own = {flag for flag in ("--dry-run", "--estimate") if flag in flags}
    write = _value(flags, "--write-config")
    if several and "--estimate" not in own and "--cfg" not in flags:
        from trivet.cli.sweep import launch

        extra = _value(flags, "--config-dir")
        return launch(argv, overrides, extra, preview="--dry-run" in own)
    words = [word for word in [*flags, *overrides] if word not in own]
    if own and several:
        from tempfile import gettempdir

        words.append(f"hydra.sweep.dir='{gettempdir()}'")  # where Hydra notes what it was told
    return _hydra(words, own, write)


def _value(flags: list[str], name: str) -> str | None:
    """Take a flag and its value off the flags."""
    for i, flag in enumerate(flags):
        if flag == name:
            value = flags[i + 1]
            del flags[i : i + 2]
            return value
        if flag.startswith(f"{name}="):
            del flags[i]
            return flag.partition("=")[2]
    return None


def _sorted(argv: list[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides: a user may mix them, Hydra wants flags first."""
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, given, _ = word.partition("=")
        if name in _FLAGS:
            flags.append(word)
            if _FLAGS[name] and not given:
                value = next(rest, None)
                if value is None:
                    raise ConfigError("wants a value", where=word, fix="See trivet train --help")
                flags.append(value)
        elif word.startswith("-"):
            raise ConfigError(f"no flag {word}", fix=nearest(name, _FLAGS))
        elif "=" not in word and not word.startswith("~"):
            raise ConfigError(f"{word} is not key=value", fix="See trivet train --help")
        elif name == "exp":
            raise ConfigError("exp is added, not changed", fix=f"Write +{word}")
        elif name == "+debug":
            raise ConfigError("debug is changed, not added", fix=f"Write {word[1:]}")
        else:
            overrides.append(word)
    return flags, overrides


def _hydra(words: list[str], own: set[str], write: str | None) -> int:
    import hydra

    from trivet.cli import compose

    compose.prepare()

    failures: list[Exception] = []

    def job(config: Any) -> None:
        try:
            _train(compose.container(config), own, write)
        except (TrivetError, OSError) as error:  # kept, so that Hydra adds no lines of its own
            failures.append(error)

    sys.argv = ["train", *words]
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(job)()
    except compose.FAILURES as error:
        forced = compose.leave_to_schema(error, words)
        if forced is not None:
            return _hydra(forced, own, write)
        raise compose.plainly(error) from None
    if failures:
        raise failures[0]
    return 0


def _train(config: dict[str, Any], own: set[str], write: str | None) -> None:
    from trivet.core.schema import build
    from trivet.stages.estimate import estimate
    from trivet.stages.outline import outline
    from trivet.stages.plan import lines, plan

    train = build(config)
    steps = plan(train, unreachable="--dry-run" in own)
    if ranks.first():
        print("\n".join(lines(steps, train)), flush=True)
    if write is not None:
        _write(Path(write), config)
    elif "--estimate" in own:
        print("\n".join(estimate(train, steps)))
    elif "--dry-run" in own:
        print("\n".join(outline(steps)))
    elif train.machine.processes > 1 and ranks.world() == 1:
        _in_ranks(config, train.machine.processes)
    else:
        carry_out(config)


def carry_out(config: dict[str, Any]) -> None:
    """Do what a composed config says, as one rank of however many there are."""
    from trivet.cli.measure import conclude, leave
    from trivet.core.schema import build
    from trivet.stages.pipeline import run as work
    from trivet.stages.plan import plan

    train = build(config)
    try:
        artifact = work(train, plan(train), config)
    except GivenUp as error:
        if train.sweep is not None and ranks.first():
            leave(train.sweep, {"objective": error.value})
        raise
    if artifact is not None and train.sweep is not None:
        conclude(train, artifact, config)
    if artifact is not None and ranks.first():
        print(artifact.path)


def _in_ranks(config: dict[str, Any], processes: int) -> None:
    """Start one process a rank on the composed config."""
    from tempfile import TemporaryDirectory

    from trivet.sweep.launch import launch

    with TemporaryDirectory(prefix="trivet-") as folder:
        path = Path(folder) / "config.json"
        _write(path, config)
        code = launch([sys.executable, "-m", "trivet.cli.worker", str(path)], processes)
    if code:
        raise RanksFailed(code)


def _write(path: Path, config: dict[str, Any]) -> None:
    """Write a composed config; the order of its stages is the order they run in."""
    write_bytes(path, json.dumps(config, indent=1).encode())
