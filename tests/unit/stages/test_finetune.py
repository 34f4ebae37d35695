"""Fine-tuning on hard negatives and on scored pairs, whole vectors and shorter ones."""

from __future__ import annotations

import dataclasses
import json

import pytest

from trivet.core.artifact import Store
from trivet.core.errors import ConfigError
from trivet.core.machine import Machine
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.angle import Angle
from trivet.losses.cosent import Cosent
from trivet.losses.espresso import Espresso
from trivet.losses.infonce import InfoNCE
from trivet.losses.matryoshka import Matryoshka
from trivet.models.backbone import Fresh
from trivet.models.layout import load_dense
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.stages.finetune import Finetune
from trivet.stages.start import Start
from trivet.training.settings import Fit

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def work(folder, stage):
    run = Run(folder, "run", {}, Store(folder / "store"), folder / "cache", Machine("cpu"), Jsonl())
    return Work(run, stage, stage[0] * 64, {})


@pytest.fixture
def triplets(tmp_path):
    path = tmp_path / "triplets.jsonl"
    rows = [
        {"q": f"number {i}", "p": f"it is {i}", "n": [f"it is {i + 1}", f"it is {i + 2}"]}
        for i in range(16)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return Source("triplets", Columns(query="q", positive="p", negatives=["n"]), path=str(path))


@pytest.fixture
def scored(tmp_path):
    path = tmp_path / "scored.jsonl"
    rows = [{"q": f"{i}", "d": [f"{i}", f"{i + 5}"], "s": [5.0, i / 4]} for i in range(16)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return Source("scored", Columns(query="q", documents="d", scores="s"), path=str(path))


def tuned(tmp_path, source, loss, shorter=None, facts=None, **options):
    parent = Start(backbone=Fresh(SHAPE)).run(None, work(tmp_path, "start"))
    parent.manifest.update(facts or {})
    stage = Finetune(
        data=source if isinstance(source, Mixture) else Mixture([source], epochs=40),
        loss=loss,
        shorter=shorter,
        optim=AdamW(lr=3e-3, schedule=Schedule(warmup=0.1)),
        fit=Fit(batch=16, precision="fp32", log_every=1),
        **options,
    )
    stage.accept(True)
    made = stage.run(parent, work(tmp_path, "finetune"))
    lines = (tmp_path / "finetune/metrics.jsonl").read_text().splitlines()
    return made, [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("loss", [Angle(), InfoNCE(0.05)])
@pytest.mark.parametrize("shorter", [None, Matryoshka([16, 32]), Espresso([1, 2], dim=16)])
def test_it_learns_from_negatives_whole_and_shorter(tmp_path, triplets, loss, shorter):
    _, losses = tuned(tmp_path, triplets, loss, shorter)
    assert len(losses) == 40
    assert losses[-1] < 0.7 * losses[0]


def test_it_learns_an_order_of_scored_pairs(tmp_path, scored):
    _, losses = tuned(tmp_path, scored, Cosent())
    assert losses[-1] < 0.7 * losses[0]


def test_it_may_read_more_of_a_text_than_its_parent_did(tmp_path, triplets):
    made, _ = tuned(tmp_path, triplets, InfoNCE(), lengths={"document": 200})
    assert load_dense(made.path).tokenizer.lengths == {"query": 126, "document": 200}
    with pytest.raises(ConfigError, match="999 content tokens do not fit"):
        tuned(tmp_path / "other", triplets, InfoNCE(), lengths={"query": 999})


def test_what_the_parent_has_seen_its_child_has(tmp_path, triplets):
    facts = {"trained_on": ["pairs"], "in_domain": ["scifact"]}
    made, _ = tuned(tmp_path, triplets, InfoNCE(), facts=facts)
    assert made.manifest["trained_on"] == ["pairs", "triplets"]
    assert made.manifest["in_domain"] == ["scifact"]


def test_a_source_too_small_for_a_batch_is_not_named_among_what_was_trained_on(tmp_path, triplets):
    few = dataclasses.replace(triplets, name="few", limit=15)
    mixture = Mixture([triplets, few], epochs=2, skip_small=True)
    made, _ = tuned(tmp_path, mixture, InfoNCE())
    assert made.manifest["trained_on"] == ["triplets"]
    assert made.manifest["rows"] == {"triplets": 16}


def test_rows_that_the_loss_cannot_use_are_refused(tmp_path, triplets, scored):
    with pytest.raises(ConfigError, match="scored holds tuples, not pairs"):
        tuned(tmp_path, scored, Angle())
    with pytest.raises(ConfigError, match="triplets holds pairs, not tuples"):
        tuned(tmp_path, triplets, Cosent())
    alone = Source("alone", Columns(query="q", positive="p"), path=triplets.path)
    with pytest.raises(ConfigError, match="alone has no negatives. .* set cln_w and angle_w to 0"):
        tuned(tmp_path, alone, Angle())


def test_layers_must_end_with_the_models_last(tmp_path, triplets):
    with pytest.raises(ConfigError, match="the model has 2 layers"):
        tuned(tmp_path, triplets, InfoNCE(), Espresso([1, 3], dim=16))
