"""What a run would take, from a few steps on a few rows."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.models.backbone import Fresh
from trivet.optim.adamw import AdamW
from trivet.stages.estimate import estimate
from trivet.stages.plan import Train, plan
from trivet.stages.pretrain import Pretrain
from trivet.stages.start import Start
from trivet.training.settings import Fit

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.mark.parametrize(("published", "steps"), [(None, 3 * 25), (8000, 3 * 1000)])
def test_steps_are_those_of_all_rows_and_only_a_few_are_trained_on(
    tmp_path, published, steps, monkeypatch
):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps({"q": f"q{i}", "p": f"p{i}"}) for i in range(200)))
    source = Source("pairs", Columns(query="q", positive="p"), path=str(path), rows=published)
    stage = Pretrain(
        data=Mixture([source], epochs=3), optim=AdamW(lr=1e-3), fit=Fit(batch=8, precision="fp32")
    )
    train = Train(
        stages={"start": Start(backbone=Fresh(SHAPE)), "pretrain": stage},
        out=str(tmp_path / "out"),
        cache=str(tmp_path / "cache"),
    )
    opened = []
    whole = Source.open
    monkeypatch.setattr(
        Source, "open", lambda self, cache=None: (opened.append(self.limit), whole(self, cache))[1]
    )
    (line,) = estimate(train, plan(train))
    assert re.match(
        rf"pretrain: {steps} steps of \d+\.\d\d s here, about .* h; .* GiB after \d+ steps", line
    )
    assert opened[0] == 7 * 8  # what the trial read
    assert not (tmp_path / "out").exists()


def test_texts_by_id_are_kept_for_the_run_and_only_a_few_rows_are_joined(tmp_path, monkeypatch):
    rows = "".join(json.dumps({"q": f"q{i}", "p": i}) + "\n" for i in range(200))
    texts = "".join(json.dumps({"i": i, "t": f"p{i}"}) + "\n" for i in range(200))
    for name, lines in (("rows", rows), ("texts", texts)):
        (tmp_path / f"{name}.jsonl").write_text(lines)
    named = Source("named", Columns(id="i", text="t"), path=str(tmp_path / "texts.jsonl"))
    columns = Columns(query="q", positive="p")
    path = str(tmp_path / "rows.jsonl")
    source = Source("pairs", columns, path=path, rows=200, document_texts=named)
    stage = Pretrain(
        data=Mixture([source]), optim=AdamW(lr=1e-3), fit=Fit(batch=8, precision="fp32")
    )
    train = Train(
        stages={"start": Start(backbone=Fresh(SHAPE)), "pretrain": stage},
        out=str(tmp_path / "out"),
        cache=str(tmp_path / "cache"),
    )
    (line,) = estimate(train, plan(train))
    assert line.startswith("pretrain: 25 steps")
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"estimates", "texts"}
    monkeypatch.setattr("trivet.data.join._write", None)  # what was made is found again
    assert source.open(tmp_path / "cache").read(np.array([7])).documents == [["p7"]]
