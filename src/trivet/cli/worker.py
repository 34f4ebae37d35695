"""One rank of a run: `python -m trivet.cli.worker CONFIG.json`, on a config that is composed.

Started by `trivet train` with machine.processes above 1, by `torchrun`, or, once a node, by
scripts/train.slurm, then with `--processes N`. Ranks never compose, so they cannot differ.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path

from trivet.core.errors import ConfigError, TrivetError
from trivet.sweep.launch import LOST, Nodes, die_with_parent, launch

_PATIENCE = 20.0  # seconds; the first rank says the same of a config, and then this one is ended


def main() -> int:
    """Carry out the run that the config file describes, or start this node's ranks on it."""
    if sys.argv[2:3] == ["--processes"]:
        nodes = Nodes(
            number=int(os.environ.get("SLURM_NODEID", "0")),
            count=int(os.environ.get("SLURM_JOB_NUM_NODES", "1")),
            address=os.environ.get("MASTER_ADDR", "127.0.0.1"),
            port=int(os.environ["MASTER_PORT"]),
        )
        command = [sys.executable, "-m", "trivet.cli.worker", sys.argv[1]]
        return launch(command, int(sys.argv[3]), nodes)
    from trivet.cli import compose
    from trivet.cli.train import carry_out
    from trivet.core.files import read_json

    die_with_parent()
    compose.prepare()
    try:
        carry_out(read_json(Path(sys.argv[1])))
    except (TrivetError, OSError) as error:
        if isinstance(error, ConfigError) and os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(_PATIENCE)
        print(f"trivet: rank {os.environ.get('RANK', '0')}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, TrivetError) else 2
    except RuntimeError as error:
        if _lost(error):
            return LOST
        traceback.print_exc()
        return 1
    return 0


def _lost(error: RuntimeError) -> bool:
    """Whether an error only says that another rank is gone."""
    text = str(error)
    signs = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
    return any(sign in text for sign in signs)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    if status == LOST:  # the group is broken: taking it down in order would wait for the dead
        os._exit(status)
    sys.exit(status)
