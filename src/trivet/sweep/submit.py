"""A sweep is handed to Hydra: its sweeper makes the grid, its launcher starts the elements.

Nothing here schedules. The launcher is a plugin (submitit for Slurm, Ray, joblib, or Hydra's own),
chosen in `machine/`; between it and the sweeper stand `Elements`, which know what is done already.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from trivet.core.errors import ConfigError, nearest
from trivet.core.hashing import json_digest
from trivet.core.launching import Launch
from trivet.core.schema import build
from trivet.core.tree import EXTRAS, hydra
from trivet.sweep.baseline import check_baseline
from trivet.sweep.element import quoted, work
from trivet.sweep.elements import Elements, key
from trivet.sweep.record import Sweep

log = logging.getLogger("trivet")
_NOT_NAMED = ("machine", "tracker", "out", "cache", "resume", "hydra.launcher", "hydra/launcher")
Container = Callable[[DictConfig], dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """What a user asked for."""

    words: list[str]
    """Overrides as typed."""
    command: str
    """The whole line, for the record."""
    preview: bool
    """Only look."""


def submit(asked: Asked, container: Container) -> Elements:
    """Run a sweep to its end, or only make its grid; `container` makes a config plain."""
    with hydra("train") as ready:
        config = ready.compose_config("train", asked.words, run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=ready.config_loader, callbacks=Callbacks(config))
        params = {str(k): str(v) for k, v in (config.hydra.sweeper.get("params") or {}).items()}
        swept = _swept(params, asked.words)
        typed = {key(word): word.partition("=")[2] for word in asked.words}
        check_baseline(_plain(config.get("baseline")), params | typed)
        folder = (
            Path(str(config.out)).expanduser().absolute() / "sweeps" / _id(config, asked, swept)
        )
        config.hydra.sweep.dir = str(folder)
        launch: Launch = build(_plain(config.machine)).launch

        def compose(words: list[str]) -> dict[str, Any]:
            one = context.config_loader.load_sweep_config(config, words)
            with open_dict(one):
                del one["hydra"]
            return container(one)

        sweeper: Any = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=work
        )
        inner = getattr(sweeper, "sweeper", sweeper)  # Optuna's is a shell around one
        chosen = config.hydra.runtime.choices["hydra/sweeper"]
        facts = {
            "name": folder.name.rpartition("-")[0],
            "command": asked.command,
            "cwd": str(Path.cwd()),
            "swept": sorted(swept),
            "baseline": _plain(config.get("baseline")),
            "machine": _plain(config.machine),
        }
        sweep = Sweep(folder, facts)
        begin = launcher(launch, sweep) if not asked.preview else _nothing
        if not asked.preview:
            sweep = Sweep.begin(folder, facts)
        elements = Elements(sweep, swept, compose, begin, launch, chosen != "basic", asked.preview)
        inner.launcher = elements
        inner.validate_batch_is_legal = _nothing  # it composes every run, as `elements` do again
        if asked.preview:
            _only_a_grid(chosen)
            batches = inner.split_arguments(_parsed(params, asked.words, context), None)
            for batch in batches:
                elements.launch(batch, 0)
            elements.check()
            return elements
        try:
            sweeper.sweep(arguments=list(config.hydra.overrides.task))
            elements.check()
        except BaseException:
            if not sweep.records():  # refused: nothing of it is to be found later
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return elements


def launcher(launch: Launch, sweep: Sweep) -> Callable[[list[list[str]]], None]:
    """A function that gives elements to the launcher, and returns when it has seen them end."""
    element = _element(launch, sweep)

    def begin(words: list[list[str]]) -> None:
        with hydra("element") as ready:
            context = HydraContext(config_loader=ready.config_loader, callbacks=Callbacks(element))
            inner = Plugins.instance().instantiate_launcher(
                config=element, hydra_context=context, task_function=work
            )
            inner.launch(words, 0)

    return begin


def _element(launch: Launch, sweep: Sweep) -> DictConfig:
    """The config of an element, with the launcher that `machine` names and what it is told."""
    words = [
        f"hydra/launcher={launch.launcher}",
        f"hydra.sweep.dir={quoted(f'{sweep.folder}/launcher')}",
    ]
    with hydra("element") as ready:
        try:
            config = ready.compose_config("element", words, run_mode=RunMode.MULTIRUN)
        except ConfigCompositionException:
            fix = f"pip install 'trivet[{EXTRAS.get(launch.launcher, 'cluster')}]'"
            what = f"needs a package that is not here: Hydra's launcher {launch.launcher}"
            raise ConfigError(what, where="machine.launch.launcher", fix=fix) from None
    options: DictConfig = config.hydra.launcher
    found = [str(name) for name in options if name != "_target_"]
    for wrong in (name for name in launch.options if name not in found):
        where, fix = f"machine.launch.options.{wrong}", nearest(wrong, found)
        raise ConfigError(f"no option of {launch.launcher}", where=where, fix=fix)
    try:
        with open_dict(options):  # its own fields stay typed
            options.merge_with(launch.settings(sweep.id))
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0], where="machine.launch.options") from None
    return config


def _nothing(words: list[list[str]]) -> None:
    """Start nothing, check nothing."""


def _only_a_grid(chosen: str) -> None:
    if chosen != "basic":
        fix = "Leave --dry-run out, or sweep over a grid"
        raise ConfigError("chooses its runs as it goes", where=f"hydra/sweeper={chosen}", fix=fix)


def _parsed(params: dict[str, str], words: list[str], context: HydraContext) -> Any:
    parser = OverridesParser.create(config_loader=context.config_loader)
    own = [word for word in words if not key(word).startswith("hydra")]
    return parser.parse_overrides([*(f"{k}={v}" for k, v in params.items()), *own])


def _swept(params: dict[str, str], words: list[str]) -> set[str]:
    """The keys that take several values."""
    said = {name: f"{name}={value}" for name, value in params.items()}
    said |= {key(word): word for word in words}
    parsed = OverridesParser.create().parse_overrides(list(said.values()))
    return {name for name, one in zip(said, parsed, strict=True) if one.is_sweep_override()}


def _id(config: DictConfig, asked: Asked, swept: set[str]) -> str:
    """A sweep's name and a hash of what decides its runs, wherever they run and lie."""
    ablation = config.hydra.runtime.choices.get("ablation")
    name = ablation or "+".join(sorted(one.rpartition(".")[2] for one in swept)) or "run"
    words = sorted(word for word in asked.words if not key(word).startswith(_NOT_NAMED))
    params = _plain(config.hydra.sweeper.get("params"))
    return f"{name.replace('/', '-')}-{json_digest([words, params])[:10]}"


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
