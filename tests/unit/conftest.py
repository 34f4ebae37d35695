"""A hub on this machine, and a way to ask it from a process with a cache of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "hub_server", Path(__file__).parent / "hub_server.py"
)
hub_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(hub_server)


@pytest.fixture
def hub():
    """A stand-in for the model hub, empty."""
    return hub_server.Hub()


@pytest.fixture
def serve():
    """A context manager that serves a hub and gives its address."""
    return hub_server.serve


@pytest.fixture
def url(hub):
    """Where it answers."""
    with hub_server.serve(hub) as address:
        yield address


@pytest.fixture
def ask(tmp_path):
    def ask(code, url, *, offline=False, fresh="1", **fields):
        env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
        env |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "1" if offline else "0"}
        env |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-c", code, json.dumps(fields), str(tmp_path / f"cache{fresh}")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert len(done.stdout.strip().splitlines()) == 1
        return done.stdout.strip()

    return ask
