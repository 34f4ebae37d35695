#!/usr/bin/env bash
# Makes .venv and installs the lock and trivet into it. Called by make; does its work once.
set -u
cd "$(dirname "$0")/.."
log=.setup.log
fail() { echo "setup: $*" >&2; exit 1; }

candidates=(python3.13 python3.12 python3.11 python3)
[ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
python=
for name in "${candidates[@]}"; do
  if "$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
    python=$name
    break
  fi
done
if [ -z "$python" ]; then
  has=$("$name" --version 2>/dev/null) || has="not found"
  fail "needs Python 3.11 to 3.13 with venv; $name is ${has:-not found}. Say which: make PYTHON=/path/to/python3.12"
fi
free=$(df -Pk . | awk 'NR == 2 {print int($4 / 1048576)}')
[ "$free" -ge "${TRIVET_NEEDS_GB:-8}" ] || fail "needs 8 GB of free disk for torch and the rest; here are $free GB"

if [ -f .venv/.ready ] && [ "$(.venv/bin/python --version 2>&1)" = "$("$python" --version)" ]; then
  echo "setup: bringing .venv to the lock (progress in $log)"
  rm -f .venv/.ready  # an update that is cut short is made anew
  : >"$log"
else
  echo "setup: installing into .venv with $("$python" --version) (about 3 minutes, 6 GB; progress in $log)"
  rm -rf .venv
  "$python" -m venv .venv >"$log" 2>&1 || fail "cannot make .venv: $(tail -n 1 "$log")"
fi
(while sleep 20 >/dev/null 2>&1; do echo "setup: still installing; $(du -sh .venv 2>/dev/null | cut -f1) so far"; done) &
beat=$!
trap 'kill $beat 2>/dev/null' EXIT
pip() { .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@" >>"$log" 2>&1; }
if ! pip -r requirements.lock || ! pip --no-deps --no-build-isolation -e .; then
  reason=$(grep -E 'ERROR|error:|No space' "$log" | tail -n 1)
  case "$(cat "$log")" in
    *"No space left"*) reason="the disk is full" ;;
    *"from versions: none"*) reason="no package index can be reached, or it lacks what the lock names" ;;
  esac
  fail "${reason:-pip failed}. The log is $log; the same command tries again"
fi
touch .venv/.ready
echo "setup: done in $SECONDS s"
