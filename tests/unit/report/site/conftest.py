"""A small site: a ledger with a sweep of seeds, a run that goes on, and a page, parsed."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from trivet.report.site.findings import findings
from trivet.report.site.held import hold
from trivet.report.site.pages import Pages
from trivet.report.site.site import write

ROUNDS = 200
TASKS = ("birds", "fish")
LIFT = {"linear": 0.0, "ffn": 0.12, "glu": -0.2}


class Page(HTMLParser):
    """What a test asks of a page: tables as rows of cells, links, ids, and text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.links, self.ids, self.values = [], [], [], []
        self.text, self._cell, self._mute = "", None, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "data":
            self.values.append(float(attributes["value"]))
            if self._cell is not None:
                self._cell["value"] = float(attributes["value"])
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and self.tables:
            self.tables[-1].append([])
        if tag in ("td", "th") and self.tables:
            self._cell = {"text": "", "value": None}
            self.tables[-1][-1].append(self._cell)
        self._mute += tag in ("style", "script")

    def handle_endtag(self, tag):
        self._mute -= tag in ("style", "script")
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._mute:
            return
        self.text += data
        if self._cell is not None:
            self._cell["text"] += data

    def table(self, heading):
        """The rows of the first table with such a column, each as a dict by column."""
        for table in self.tables:
            names = [cell["text"].strip() for cell in table[0]]
            if heading in names:
                return [dict(zip(names, row, strict=False)) for row in table[1:]]
        raise AssertionError(f"no table with {heading}")


@pytest.fixture
def parse():
    """A function that reads a page."""
    return lambda path: Page(path.read_text(encoding="utf-8"))


def quality(level, seed, task, queries=30):
    base = np.random.default_rng(TASKS.index(task)).uniform(0.3, 0.6, queries)
    luck = np.random.default_rng([seed, 7]).normal(0, 0.01, queries)
    return np.clip(base + LIFT[level] + luck, 0, 1)


@pytest.fixture
def swept(add):
    """Rows of three levels by three seeds on two tasks, and a lexical row."""
    for task in TASKS:
        add("BM25", quality("linear", 9, task) - 0.05, task=task)
        for level in LIFT:
            for seed in (1, 2, 3):
                sweep = {
                    "name": "heads",
                    "id": "heads-1f",
                    "level": {"head@stages.colbert.head": level, "dim": "48"},
                    "baseline": {"head@stages.colbert.head": "linear"},
                }
                add("a model", quality(level, seed, task), task=task, seed=seed, sweep=sweep,
                    lengths={"query": 8}, prompts={"query": ""},
                    command=f"trivet eval --seed {seed} --level {level}")  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    """A folder of runs: one recipe at two rates, one finished and one going on."""
    for number, (rate, state) in enumerate([(1e-3, "finished"), (1e-4, None)]):
        folder = tmp_path / "outputs" / "runs" / f"tiny-{number}"
        (folder / "pretrain").mkdir(parents=True)
        config = {"name": "tiny", "seed": 1, "stages": {"pretrain": {"optim": {"lr": rate}}}}
        (folder / "config.json").write_text(json.dumps(config))
        lines = [
            {"step": step, "loss": 4.0 / step, "lr": rate, "dev/ndcg@10": step / 100}
            for step in (5, 10, 15)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 20, "lo'
        (folder / "pretrain" / "metrics.jsonl").write_text(text)
        if state:
            (folder / "manifest.json").write_text(json.dumps({"state": state, "stages": []}))
    return tmp_path / "outputs"


@pytest.fixture
def built(ledger, tmp_path):
    """A function that writes the site of the ledger and gives its folder."""

    def built(pages=None, outputs=(), **given):
        pages = pages or Pages()
        held = hold(ledger.path, outputs)
        out = tmp_path / "site"
        write(out, held, pages, findings(held, pages, ROUNDS), **given)
        return out

    return built
