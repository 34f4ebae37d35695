"""Hydra composes, the schema checks; every failure of either becomes one line."""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import Any

from hydra import compose as hydra_compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trivet.core import ranks
from trivet.core.errors import ConfigError, TrivetError, nearest
from trivet.core.places import asset
from trivet.core.tree import EXTRAS, hydra

FAILURES = (HydraException, OmegaConfBaseException)


def prepare() -> None:
    """Register what configs may refer to, and send trivet's log to standard error."""
    OmegaConf.register_new_resolver("asset", lambda name: str(asset(name)), replace=True)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, and let the error be told in one line
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    log = logging.getLogger("trivet")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO if ranks.first() else logging.ERROR)  # one rank speaks for all
        log.propagate = False


def container(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain Python, interpolations resolved."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        raise plainly(error) from None
    return {str(key): value for key, value in plain.items()}  # pyright: ignore


def composed(name: str, words: list[str]) -> dict[str, Any]:
    """A config of the tree with the words of a user, as plain Python."""
    try:
        with hydra(name):
            return container(hydra_compose(name, overrides=words))
    except FAILURES as error:
        forced = leave_to_schema(error, words)
        if forced is not None:
            return composed(name, forced)
        raise plainly(error) from None


def nodes(node: Any) -> list[dict[str, Any]]:
    """A part of a config and the parts of it, however deep."""
    if not isinstance(node, dict):
        return []
    own: dict[str, Any] = node
    return [own, *(found for value in own.values() for found in nodes(value))]


def leave_to_schema(error: Exception, words: list[str]) -> list[str] | None:
    """The words with an unknown key forced in: the schema, too, refuses it, and knows its like."""
    found = re.search(r"Could not override '([^']+)'", str(error))
    if found is None or not any(word.startswith(f"{found.group(1)}=") for word in words):
        return None
    return [f"++{word}" if word.startswith(f"{found.group(1)}=") else word for word in words]


def plainly(error: Exception) -> TrivetError:
    """One line for what Hydra or OmegaConf says in many."""
    text = str(error)
    missing = re.search(
        r"Could not find '([^']+)'(?:.*?Available options in '[^']*':(.*))?", text, re.S
    )
    if missing:
        group, _, name = missing.group(1).rpartition("/")
        options = (missing.group(2) or "").split("Config search path")[0].split()
        what = f"no {name} in {group}" if group else f"no config group {name}"
        if group.startswith("hydra/") and name in EXTRAS:
            return ConfigError(what, fix=f"pip install 'trivet[{EXTRAS[name]}]'")
        return ConfigError(what, fix=nearest(name, options) if options else "See --help")
    word = getattr(error, "override", None)  # what Hydra's grammar refused
    if isinstance(word, str):
        fix = "Write key=value; quote a value with special characters: 'key=\"a, b\"'"
        return ConfigError(f"{word} cannot be read", fix=fix)
    absent = re.search(r"config groups is not supported: '\+\+(.+)'", text)
    if absent:
        word = absent.group(1)
        return ConfigError(f"{word.partition('=')[0]} is not chosen yet", fix=f"Write +{word}")
    mandatory = re.search(r"You must specify '([^']+)'", text)
    if mandatory:
        return ConfigError("a choice is required", where=mandatory.group(1).split(",")[0])
    if "Ambiguous value for argument" in text:
        word = text.split("'")[1]
        fix = "Add -m to run each of them, or write [a,b] for a list"
        return ConfigError(f"{word} holds a comma", fix=fix)
    foreign = re.search(r"Could not override '([^']+)'", text)
    if foreign:  # a user's own words were left to the schema: this one is a file's
        fix = "Choose a recipe that has it, or leave the +ablation or debug that sets it"
        return ConfigError("this recipe has no such key", where=foreign.group(1), fix=fix)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = error.__cause__
    if cause is not None and str(cause) not in text:
        lines.append(str(cause).splitlines()[0])
    return ConfigError("; ".join(lines[:3]) or type(error).__name__)
