#!/usr/bin/env bash
# The tests on real services: Slurm on one node, Ray, joblib, an S3 server on loopback; called by `make test-cluster`.
# Installs what is missing: slurm-wlm and munge with apt (as root), requirements-cluster.lock into .venv-cluster, which
# lies on top of .venv. With --quick a few small sweeps, and what cannot be installed is passed over loudly; without
# it that is a failure. Other words go to pytest. Logs without paths and host names go to $TRIVET_LOGS, if set.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv-cluster
quick=no
if [ "${1:-}" = --quick ]; then
  quick=yes
  shift
  set -- -k "header or writers or optuna" "$@"
fi
loud() { printf '\n==========\n== %s\n==========\n' "$*" >&2; }
lacking() { # a service that is not here
  loud "$*"
  [ "$quick" = yes ] && return 0
  exit 1
}

services=(slurm ray s3 optuna)
[ "$quick" = no ] || services=(slurm s3 optuna)
if ! command -v slurmctld >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "cluster: installing slurm-wlm and munge"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends slurm-wlm munge; } \
    >.setup.log 2>&1 || true
fi
if ! command -v slurmctld >/dev/null || [ "$(id -u)" != 0 ]; then
  lacking "NO SLURM, SO IT IS NOT TESTED: as root, apt-get install slurm-wlm munge"
  services=("${services[@]/slurm/}")
fi
if [ ! -f "$venv/.ready" ] || [ requirements-cluster.lock -nt "$venv/.ready" ]; then
  echo "cluster: installing launchers into $venv"
  rm -rf "$venv"
  "$(readlink -f .venv/bin/python)" -m venv "$venv"
  (cd .venv/lib/python3.*/site-packages && pwd -P) >"$(echo "$venv"/lib/python3.*/site-packages)/base.pth"
  if ! "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps \
    -r requirements-cluster.lock >.setup.log 2>&1; then
    lacking "THE LAUNCHERS CANNOT BE INSTALLED, SO NO CLUSTER IS TESTED: $(tail -n 1 .setup.log)"
    exit 0
  fi
  touch "$venv/.ready"
fi
logs=${TRIVET_LOGS:-}
[ -z "$logs" ] || mkdir -p "$logs"
failed=0
for service in ${services[*]}; do
  out=$(mktemp)
  echo "== $service"
  PYTHONPATH=src HF_HUB_OFFLINE=1 "$venv/bin/python" -m pytest -m cluster -v --durations=0 "$@" \
    "tests/cluster/test_$service.py" 2>&1 | tee "$out" || { failed=1 && loud "THE TESTS ON $service FAILED"; }
  if [ -n "$logs" ]; then
    sed -E "s#$PWD/?##g; s#$(hostname)#host#g; s#/tmp/[^ ]*/##g; /^(rootdir|cachedir|platform)/d" "$out" >"$logs/$service.log"
  fi
  rm -f "$out"
done
exit "$failed"
