"""Real services for the tests of sweeps: Slurm on one node, Ray, an S3 server. `make test-cluster`.

A service that does not start is a failure that says so, never a test that is passed over.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from world import GRID, ON_CPU, World

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def calm(world):
    """The rows of the sweep that nothing disturbs, on this machine."""
    world.run("calm", *world.words("machine=local", *ON_CPU, *GRID, "--max-parallel", "2"))
    made = (world.root / "calm/outputs/artifacts").glob("[!.]*")
    stages = sorted(path.name.split("-")[0] for path in made)
    assert stages == ["colbert"] * 12 + ["pretrain", "start"]  # what they share is made once
    rows = world.rows("calm")
    assert len(rows) == 12
    return rows


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A controller and one node of two CPUs; every command finds it through SLURM_CONF."""
    needed = ("slurmctld", "slurmd", "munged", "sbatch")
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        pytest.fail(f"NO SLURM HERE: {', '.join(missing)} missing; apt-get install slurm-wlm munge")
    folder = tmp_path_factory.mktemp("slurm")
    started = [_munge(folder)]
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    config = folder / "slurm.conf"
    config.write_text(
        f"ClusterName=trivet\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={_port()}\n"
        f"SlurmdPort={_port()}\nAuthType=auth/munge\nSlurmUser=root\nSlurmdUser=root\n"
        "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n"
        "SelectTypeParameters=CR_Core\nReturnToService=2\nMailProg=/bin/true\n"
        "SchedulerParameters=batch_sched_delay=0,sched_interval=1\nJobRequeue=1\nKillWait=5\n"
        f"StateSaveLocation={folder}/state\nSlurmdSpoolDir={folder}/spool\n"
        f"SlurmctldPidFile={folder}/slurmctld.pid\nSlurmdPidFile={folder}/slurmd.pid\n"
        f"SlurmctldLogFile={folder}/slurmctld.log\nSlurmdLogFile={folder}/slurmd.log\n"
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n"
        f"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
    )
    os.environ["SLURM_CONF"] = str(config)
    for command in (["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
        log = (folder / f"{command[0]}.out").open("wb")
        started.append(subprocess.Popen(command, stdout=log, stderr=log))
    give_up = time.monotonic() + 60
    while "idle" not in _said("sinfo", "--noheader", "--format", "%t"):
        if time.monotonic() > give_up:
            logs = "".join(path.read_text()[-2000:] for path in folder.glob("slurm*.log"))
            pytest.fail(f"SLURM DOES NOT START:\n{logs}")
        time.sleep(0.5)
    yield config
    subprocess.run(["scancel", "--user", str(os.getuid())], capture_output=True)
    time.sleep(1)
    for process in reversed(started):
        if process is not None:
            process.terminate()
            process.wait(30)


def _munge(folder: Path):
    """munged with the machine's key; None where it runs already."""
    if _said("munge", "-n"):
        return None
    key = Path("/etc/munge/munge.key")
    if not key.exists():
        subprocess.run(["mungekey", "--create"], check=True)
    run = Path("/run/munge")
    run.mkdir(exist_ok=True)
    shutil.chown(run, "munge", "munge")
    shutil.chown(key, "munge", "munge")
    run.chmod(0o755)
    process = subprocess.Popen(["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups",
                                "munged", "--foreground"], stderr=subprocess.DEVNULL)  # fmt: skip
    give_up = time.monotonic() + 20
    while not _said("munge", "-n"):
        if time.monotonic() > give_up:
            pytest.fail("MUNGE DOES NOT START: its key or folder has the wrong owner")
        time.sleep(0.2)
    return process


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """moto's server on loopback, and the environment that leads to it."""
    port = _port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    give_up = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if time.monotonic() > give_up or process.poll() is not None:
                pytest.fail(f"THE S3 SERVER DOES NOT START: {Path(log.name).read_text()[-2000:]}")
            time.sleep(0.2)
    there = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    os.environ |= there
    yield there
    process.terminate()
    process.wait(30)
