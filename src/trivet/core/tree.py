"""Hydra on the tree of trivet's configs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from trivet.core.places import config_folder

# Hydra's plugins, and what of trivet's installs them
EXTRAS = {"optuna": "optuna", "joblib": "joblib", "ray": "ray", "submitit_slurm": "slurm"}


@contextmanager
def hydra(name: str) -> Generator[Any]:
    """Within the block Hydra is ready; one inside another leaves the outer as it was."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_folder()), job_name=name, version_base="1.3"):
            yield GlobalHydra.instance().hydra
    finally:
        GlobalHydra.instance().hydra = before
