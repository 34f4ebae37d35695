# Two commands: make demo, make test. Each sets up .venv first, once.
PY := .venv/bin/python
.PHONY: help setup demo test test-browser test-cluster check bench bench-gpu clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.ready  ## make .venv and install everything into it

.venv/.ready: requirements.lock pyproject.toml
	@bash scripts/setup.sh

demo: .venv/.ready  ## train a small model on real data, measure it, show a table
	@bash scripts/demo.sh

test: .venv/.ready  ## run the tests, two at a time
	@HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

test-browser: .venv/.ready  ## open the report's pages in Chromium, which is installed if it is missing
	@LOG=$(LOG) bash scripts/test_browser.sh

test-cluster: .venv/.ready  ## sweeps on a real Slurm, Ray and S3 server, which it installs and starts
	@bash scripts/cluster.sh

check: .venv/.ready  ## lint, format, types, spelling
	@$(PY) -m ruff check src tests experiments
	@$(PY) -m ruff format --check src tests experiments
	@$(PY) -m pyright src
	@.venv/bin/typos src docs configs experiments scripts README.md CONTRIBUTING.md CHANGELOG.md

bench: .venv/.ready  ## speed against sentence-transformers, maxsim-cpu, PyLate, bm25s and plain PyTorch, as ratios
	@$(PY) tests/speed/bench.py
	@$(PY) tests/speed/maxsim.py
	@$(PY) tests/speed/late.py
	@$(PY) tests/speed/tuples.py
	@$(PY) tests/speed/report.py
	@$(PY) tests/speed/latent.py

bench-gpu: .venv/.ready  ## ColBERT training on a GPU against PyLate: ratio, tokens a second, MFU, peak memory
	@$(PY) tests/speed/tuples.py --device cuda --batch 32 --steps 20

clean:  ## remove .venv and what runs left
	rm -rf .venv .venv-cluster outputs .setup.log .pytest_cache .ruff_cache
