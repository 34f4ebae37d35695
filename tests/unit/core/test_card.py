"""A card says what the manifest says, and nothing that changes by itself."""

from __future__ import annotations

import json

import pytest

from trivet.core.artifact import CARD
from trivet.core.card import write_card

START = {
    "stage": "start",
    "key": "a" * 64,
    "trivet": "1.2.3",
    "config": {"_target_": "x.Start", "backbone": {"_target_": "x.Pretrained", "layers": 3}},
    "origins": {"backbone": {"hub": "some/encoder", "revision": "abc"}},
    "trained_on": [],
    "in_domain": [],
}
SOURCES = [
    {"_target_": "x.Source", "name": "pairs", "fingerprint": "1" * 64, "split": "train"},
    {"_target_": "x.Source", "name": "own", "fingerprint": "2" * 64, "split": "train"},
]
MANIFEST = {
    "stage": "colbert",
    "key": "b" * 64,
    "trivet": "1.2.3",
    "config": {
        "_target_": "x.Colbert",
        "data": {"_target_": "x.Mixture", "sources": SOURCES, "epochs": 2},
        "losses": {"kl": {"loss": {"_target_": "x.KL", "temperature": 0.5}, "weight": 1.0}},
        "markers": {"query": "[Q] ", "document": "a|b\n"},
        "skip": ["`", "|"],
        "clean": None,
    },
    "origins": {
        "data.sources.0": {"hub": "some/pairs", "subset": "en", "revision": "main"},
        "clean.against.demo.tasks.0": {"hub": "some/bench"},
    },
    "ancestors": [START],
    "rows": {"pairs": 1234, "own": 5},
    "decontamination": {
        "overlap": [
            {"source": "pairs", "task": "scifact", "dropped": 7, "in_domain": False},
            {"source": "own", "task": "scifact", "dropped": 0, "in_domain": True},
        ]
    },
    "trained_on": ["pairs", "own"],
    "in_domain": ["scifact"],
    "training": {"steps": 40, "seconds_per_step": 1.5},
    "hardware": {"cpu": "one"},
}


def card(folder, manifest=MANIFEST, kinds=("Transformer", "Dense"), **options):
    folder.mkdir(exist_ok=True)
    modules = [{"type": f"some.{kind}"} for kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    write_card(folder, manifest, **options)
    return (folder / CARD).read_text()


@pytest.mark.parametrize(
    ("kinds", "library"),
    [
        (("Transformer", "Pooling", "Normalize"), "sentence-transformers"),
        (("Transformer", "Dense"), "PyLate"),
        (("Transformer", "Gated"), "PyLate"),
        (("Transformer", "Dense", "MultiVectorMask", "Normalize"), "sentence-transformers"),
    ],
)
def test_the_hub_reads_the_front_matter(tmp_path, kinds, library):
    from huggingface_hub import ModelCard

    data = ModelCard(card(tmp_path, kinds=kinds)).data.to_dict()
    assert data["library_name"] == library and data["pipeline_tag"] == "sentence-similarity"
    assert data["base_model"] == "some/encoder" and data["datasets"] == ["some/pairs"]
    assert {"trivet", "sentence-transformers"} <= set(data["tags"])
    assert ("ColBERT" in data["tags"]) is ("Pooling" not in kinds)


def test_a_cross_encoder_and_latent_terms_are_called_what_they_are(tmp_path):
    from huggingface_hub import ModelCard

    for name in ("cross", "latent"):
        (tmp_path / name).mkdir()
    (tmp_path / "cross" / "trivet.json").write_text('{"pairs": true}')
    write_card(tmp_path / "cross", MANIFEST)
    (tmp_path / "latent" / "sae").mkdir()
    latent = ModelCard(card(tmp_path / "latent", kinds=("Transformer", "Pooling")))
    cross = ModelCard((tmp_path / "cross" / CARD).read_text())
    assert cross.data.pipeline_tag == "text-ranking" and "CrossEncoder(" in cross.content
    assert latent.data.library_name == "trivet" and "--retriever latent" in latent.content
    assert "SentenceTransformer" not in latent.content + cross.content


def test_every_setting_and_source_stands_in_the_card(tmp_path):
    text = card(tmp_path)
    for line in (
        "# colbert-bbbbbbbbbbbbbbbb",
        "### 1. start (Start)",
        "| backbone | `Pretrained: some/encoder at abc` |",
        "| backbone.layers | `3` |",
        "### 2. colbert (Colbert)",
        f"Key `{'b' * 64}`, 40 steps, trivet 1.2.3.",
        "| data.epochs | `2` |",
        "| losses.kl.loss.temperature | `0.5` |",
        "| losses.kl.loss | `KL` |",
        "| colbert | pairs | some/pairs, en at main | 1,234 | `1111111111111111` |",
        "| colbert | own | local files | 5 | `2222222222222222` |",
        "| colbert | pairs | scifact | 7 dropped |",
        "| colbert | own | scifact | in-domain, kept |",
        "In-domain, so not zero-shot: scifact.",
    ):
        assert line in text.splitlines(), line
    assert "clean" not in text.partition("## Recipe")[2].partition("## Data")[0]


def test_values_cannot_break_their_table(tmp_path):
    lines = card(tmp_path).splitlines()
    assert '| markers.query | `"[Q] "` |' in lines
    assert '| markers.document | `"a\\|b\\n"` |' in lines
    assert '| skip | `` ["`", "\\|"] `` |' in lines


def test_neither_a_clock_nor_a_machine_nor_the_order_of_keys_changes_a_card(tmp_path):
    other = json.loads(json.dumps(MANIFEST, sort_keys=True))
    other |= {"hardware": {"cpu": "two"}, "training": {"steps": 40, "seconds_per_step": 9.5}}
    assert card(tmp_path / "a") == card(tmp_path / "b", other)


def test_a_card_says_what_it_does_not_know(tmp_path):
    assert "is not known" in card(tmp_path, MANIFEST | {"trained_on": None})
    alone = {key: fact for key, fact in MANIFEST.items() if key != "ancestors"}
    text = card(tmp_path, alone | {"trained_on": ["old", "pairs", "own"]})
    assert "Trained before on: old." in text and "base_model" not in text
    assert "Not decontaminated" in card(tmp_path, MANIFEST | {"decontamination": None})


def test_a_model_that_trivet_did_not_make_is_named_by_where_it_came_from(tmp_path):
    text = card(tmp_path, {}, base="some/model")
    assert "base_model: some/model" in text and "# some/model" in text
    assert "## Recipe" not in text and "## Data" not in text


def test_a_card_promises_a_library_only_what_it_can_read(tmp_path):
    plain, gated = card(tmp_path), card(tmp_path, kinds=("Transformer", "Gated", "Dense"))
    assert "MultiVectorEncoder" in plain and "only where trivet" not in plain
    assert "MultiVectorEncoder" not in gated
    assert "only where trivet is installed" in " ".join(gated.split())


def test_results_come_last_and_only_where_there_are_some(tmp_path):
    assert "## Results" not in card(tmp_path)
    assert card(tmp_path, results="a table").endswith("## Results\n\na table\n")


def test_what_is_no_model_gets_no_card(tmp_path):
    write_card(tmp_path, MANIFEST)
    assert list(tmp_path.iterdir()) == []
