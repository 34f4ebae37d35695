#!/usr/bin/env bash
# Remakes requirements.lock: resolves every extra of pyproject.toml on this Python, pins what was found, marks what only
# Linux has, and checks that another Python and a Mac would find a build of each. Usage: scripts/lock.sh [OTHER_PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3.11}
other=${1:-python3.13}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"$python" -m venv "$room/venv"
"$room/venv/bin/python" -m pip install --quiet --upgrade ".[demo,plaid,tensorboard,wandb,onnx,dev]" \
  hatchling editables 'setuptools<82'  # torch wants it, and a venv of Python 3.12 has none
{
  echo "# Made by scripts/lock.sh on Python 3.11; installs on 3.12 and 3.13 too. Pinned versions, no addresses."
  "$room/venv/bin/python" -m pip freeze --all --exclude trivet --exclude pip --exclude wheel |
    sed -E 's/^(maxsim.cpu==[^ ]*)$/\1 ; platform_machine != "aarch64"/; s/^((nvidia-|cuda-)[^ ]*|triton==[^ ]*)$/\1 ; sys_platform == "linux"/'
} >"$room/requirements.lock"
"$other" -m pip install --quiet --dry-run --ignore-installed -r "$room/requirements.lock"
grep -vE '^#|linux|^antlr4-python3-runtime' "$room/requirements.lock" >"$room/mac.txt"  # antlr4 is source only
"$python" -m pip download --quiet --no-deps --only-binary=:all: --platform macosx_14_0_arm64 \
  --platform macosx_11_0_arm64 --platform macosx_12_0_arm64 --python-version 3.11 -d "$room/mac" -r "$room/mac.txt"
mv "$room/requirements.lock" requirements.lock
