"""What holds for every test: no network, a cache of its own, two threads."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_CACHE = tempfile.mkdtemp(prefix="trivet-tests-")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRIVET_CACHE"] = _CACHE
os.environ["OMP_NUM_THREADS"] = "2"

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items):
    if SHARED.is_dir():
        return
    absent = pytest.mark.skip(reason="no collections beside the checkout")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(absent)


def pytest_unconfigure():
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture(scope="session")
def shared():
    """The folder of collections beside the checkout; only for tests marked `shared`."""
    return SHARED


@pytest.fixture
def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="session")
def typed(tmp_path_factory):
    """A function that runs `trivet` as it is typed: words, `cwd`, changes of the environment."""
    here = tmp_path_factory.mktemp("typed")
    out, err = here / "out", here / "err"
    command = [sys.executable, str(Path(__file__).with_name("typed.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        assert server.stdout.readline() == "ready\n"

        def run(*words, cwd, **env):
            given = {"words": words, "cwd": str(cwd), "env": {**os.environ, **env}}
            server.stdin.write(json.dumps(given | {"out": str(out), "err": str(err)}) + "\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())

        yield run
        server.stdin.close()
