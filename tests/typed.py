"""Runs commands as a user types them, each a fork of one process that has imported the libraries.

A line of standard input is JSON: {"words": […], "cwd": …, "env": {…}, "out": …, "err": …}, the last
two files for what the command prints. Its exit status is printed when it has ended. What a process
of its own starts with, such as its interpreter's settings, a fork cannot show.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import datasets  # noqa: F401
import hydra  # noqa: F401
import torch  # noqa: F401
import transformers  # noqa: F401

import trivet.bench.evaluation
import trivet.stages.estimate  # noqa: F401
from trivet.cli.main import main

LIMIT = 300  # seconds


def order() -> dict[str, Any]:
    """In a fork, what it has to do; the server itself never comes back."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return json.loads(line)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    os._exit(0)


def become(what: dict[str, Any]) -> None:
    """Take on the place, environment and streams of a command."""
    signal.alarm(LIMIT)
    os.chdir(what["cwd"])
    os.environ.clear()
    os.environ.update(what["env"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path, how in ((0, os.devnull, os.O_RDONLY), (1, what["out"], flags),
                              (2, what["err"], flags)):  # fmt: skip
        given = os.open(path, how)
        os.dup2(given, number)
        os.close(given)
    sys.argv = ["trivet", *what["words"]]


if __name__ == "__main__":
    print("ready", flush=True)
    become(order())
    sys.exit(main())
