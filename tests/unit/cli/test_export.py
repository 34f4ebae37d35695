"""`trivet export`, from the words to the folder."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_model_becomes_a_folder_with_the_ledgers_rows_on_its_card(trivet, zoo, colbert):
    words = ("--retriever", "colbert", "--model", colbert, "--label", "tiny")
    assert trivet("eval", "--bench", zoo(), *words)[0] == 0
    ledger = ("--ledger", "results/ledger.jsonl")
    made = trivet("export", colbert, "--to", "out", "--format", "pylate", *ledger)
    assert made[0] == 0 and "out: pylate" in made[1], made
    card = Path("out/README.md").read_text()
    assert "library_name: PyLate" in card
    results = card.partition("## Results")[2]
    assert "### zoo" in results and "ndcg@10" in results and "| tiny" in results


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", ".", "--format", "pylate"), "--to .: is there already. Name a new folder"),
        (("--to", "out", "--format", "pylate", "--ledger", "none"), "no row of the model"),
        (("--to", "out", "--format", "torch"), "invalid choice: 'torch'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(trivet, colbert, words, said):
    status, _, errors = trivet("export", colbert, *words)
    assert status == 2 and said in errors and "Traceback" not in errors
    assert list(Path().iterdir()) == []


def test_a_dense_model_has_no_pylate_layout(trivet, model):
    status, _, errors = trivet("export", model, "--to", "out", "--format", "pylate")
    assert status == 2 and "a dense model has no such layout" in errors
    assert "Choose sentence-transformers or onnx" in errors and list(Path().iterdir()) == []
