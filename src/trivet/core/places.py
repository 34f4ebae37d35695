"""Where trivet's own files lie: in the wheel, or in the checkout it was installed from."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def config_folder() -> Path:
    """The config tree: inside the package when installed from a wheel, else the checkout's."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "configs"


def asset(name: str) -> Path:
    """A file or folder that ships with trivet, such as the demo's data."""
    return _PACKAGE / "assets" / name


def cache_folder() -> Path:
    """Where what can be made again is kept: $TRIVET_CACHE, else the user's cache folder."""
    named = os.environ.get("TRIVET_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "trivet"
