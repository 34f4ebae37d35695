"""The level of an ablation that the others are set against."""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from trivet.core.errors import ConfigError, nearest
from trivet.sweep.elements import level


def check_baseline(baseline: dict[str, Any] | None, params: dict[str, str]) -> None:
    """It names keys that the ablation sweeps, and one of the values of each; or there is none."""
    for name, value in (baseline or {}).items():
        parsed = OverridesParser.create().parse_override(f"{name}={params.get(name, 'null')}")
        if name not in params or not parsed.is_discrete_sweep():
            raise ConfigError(f"{name} is not swept", where="baseline", fix=nearest(name, params))
        words = [f"{name}={one}" for one in parsed.sweep_string_iterator()]
        if value not in [level([word])[name] for word in words]:
            fix = f"Choose one of {params[name]}"
            raise ConfigError(f"{value} is not a level", where=f"baseline.{name}", fix=fix)


def is_baseline(found: dict[str, Any], baseline: dict[str, Any] | None) -> bool:
    """Whether a level is what the others are set against, whatever else it sets."""
    return bool(baseline) and all(found.get(name) == one for name, one in baseline.items())
