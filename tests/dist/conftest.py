"""Ranks for tests: processes that find each other over gloo."""

import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def ranks():
    """Run a command as several ranks and wait for all of them."""

    def run(world, command, **options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = [
            subprocess.Popen(
                [sys.executable, *map(str, command)],
                env={
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                **options,
            )
            for rank in range(world)
        ]
        output = [process.communicate(timeout=300)[0] for process in made]
        return [(p.returncode, text) for p, text in zip(made, output, strict=True)]

    return run
