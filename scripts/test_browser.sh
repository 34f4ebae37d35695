#!/usr/bin/env bash
# Opens the report's pages in headless Chromium; screenshots stay in outputs/browser. LOG=FILE keeps what was said:
#   make test-browser LOG=results/browser.log
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v chromium chromium-browser google-chrome >/dev/null; then
  echo "no Chromium: installing Debian's"
  if [ "$(id -u)" = 0 ]; then apt-get update -q && apt-get install -y -q --no-install-recommends chromium
  else sudo apt-get update -q && sudo apt-get install -y -q --no-install-recommends chromium; fi
fi
browser=$(command -v chromium chromium-browser google-chrome | head -n 1)
{
  echo "commit $(git rev-parse HEAD)$(git diff --quiet HEAD || echo ', and changes that were not committed')"
  echo "date $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "browser $("$browser" --version 2>/dev/null)"
  TRIVET_BROWSER=required HF_HUB_OFFLINE=1 .venv/bin/python -m pytest tests/unit/report/site/test_browser.py -v
  ls -l outputs/browser
} 2>&1 | sed -E '/^(rootdir|cachedir|platform)/d' | tee "${LOG:-/dev/null}"
