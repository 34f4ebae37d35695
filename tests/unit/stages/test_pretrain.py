"""The contrastive stage on a tiny model: what it saves, and what it says of itself."""

from __future__ import annotations

import json

import pytest
import torch

from trivet.bench.bench import Bench
from trivet.bench.folder import Folder
from trivet.core.artifact import Store
from trivet.core.errors import ConfigError
from trivet.core.machine import Machine
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.infonce import InfoNCE
from trivet.models.backbone import Fresh
from trivet.optim.adamw import AdamW
from trivet.stages.clean import Clean
from trivet.stages.dev import Dev
from trivet.stages.pretrain import Pretrain
from trivet.stages.start import Lengths, Prompts, Start
from trivet.training.settings import Fit

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
COLOURS = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]


@pytest.fixture
def bench(tmp_path):
    """Eight documents, eight queries; the first half has judgements for training."""
    folder = tmp_path / "colours"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"d{i}", "text": f"a thing that is {c}"} for i, c in enumerate(COLOURS)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    rows = [{"_id": f"q{i}", "text": f"what is {c}"} for i, c in enumerate(COLOURS)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for split, half in (("train", range(4)), ("test", range(4, 8))):
        lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in half)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines))
    return folder


def work(tmp_path, stage: str, key: str = "k") -> Work:
    run = Run(tmp_path, "run", {}, Store(tmp_path / "store"), tmp_path / "cache", Machine("cpu"),
              Jsonl())  # fmt: skip
    return Work(run, stage, key * 64, {})


def start(tmp_path, **options):
    return Start(backbone=Fresh(SHAPE), **options).run(None, work(tmp_path, "start"))


def pretrain(source: Source, **options) -> Pretrain:
    fit = Fit(batch=4, precision="fp32", steps=3)
    return Pretrain(data=Mixture([source], epochs=3), optim=AdamW(lr=1e-3), fit=fit, **options)


def pairs(tmp_path, **options) -> Source:
    path = tmp_path / "pairs.jsonl"
    rows = [{"q": f"name of {c}", "p": f"{c} is a colour"} for c in COLOURS[:4]]
    path.write_text("\n".join(map(json.dumps, rows)))
    return Source("pairs", Columns(query="q", positive="p"), path=str(path), **options)


def test_the_trained_model_loads_with_plain_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    from trivet.models.layout import load_dense

    parent = start(tmp_path, prompts=Prompts("find: ", "text: "))
    made = pretrain(pairs(tmp_path)).run(parent, work(tmp_path, "pretrain"))
    texts = ["red is a colour", "a much longer text about the colour blue and other things"]
    theirs = SentenceTransformer(str(made.path), device="cpu").encode(
        texts, prompt_name="document", convert_to_tensor=True
    )
    model = load_dense(made.path).eval()
    with torch.no_grad():
        mine = model(model.tokenizer(texts, "document").ids)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    parent = start(tmp_path)
    digests = []
    for i, seed in enumerate((1, 1, 2)):
        stage = pretrain(pairs(tmp_path), seed=seed)
        made = stage.run(parent, work(tmp_path / str(i), "pretrain"))
        digests.append(made.manifest["files"]["model.safetensors"])
    assert digests[0] == digests[1] != digests[2]


def test_a_benchs_own_train_split_must_be_called_in_domain(tmp_path, bench):
    clean = Clean(against={"colours": Bench("colours", [Folder(str(bench))])})
    source = Source("own", beir=str(bench), split="train")
    parent = start(tmp_path)
    with pytest.raises(ConfigError, match="in_domain: true"):
        pretrain(source, clean=clean).run(parent, work(tmp_path, "pretrain"))
    source = Source("own", beir=str(bench), split="train", in_domain=True)
    made = pretrain(source, clean=clean).run(parent, work(tmp_path, "pretrain"))
    assert made.manifest["in_domain"] == ["colours"]
    assert made.manifest["decontamination"]["overlap"][0]["dropped"] == 0


def test_rows_that_overlap_the_test_are_dropped_and_counted(tmp_path, bench):
    path = tmp_path / "mixed.jsonl"
    rows = [{"q": f"question {i}", "p": f"answer {i} stands alone"} for i in range(6)]
    rows += [{"q": "What is WHITE?", "p": "a colour"}, {"q": "else", "p": "A thing that is grey."}]
    path.write_text("\n".join(map(json.dumps, rows)))
    source = Source("mixed", Columns(query="q", positive="p"), path=str(path))
    clean = Clean(against={"colours": Bench("colours", [Folder(str(bench))])})
    made = pretrain(source, clean=clean).run(start(tmp_path), work(tmp_path, "pretrain"))
    overlap = made.manifest["decontamination"]["overlap"][0]
    assert (overlap["query_exact"], overlap["document_exact"], overlap["dropped"]) == (1, 1, 2)
    assert made.manifest["rows"] == {"mixed": 6}
    assert made.manifest["in_domain"] == []


def test_a_dev_bench_is_measured_while_training(tmp_path, bench):
    dev = Dev(bench=Bench("colours", [Folder(str(bench), split="train")]), every=2)
    made = pretrain(pairs(tmp_path), dev=dev).run(start(tmp_path), work(tmp_path, "pretrain"))
    lines = (tmp_path / "pretrain/metrics.jsonl").read_text().splitlines()
    steps = [row["step"] for row in map(json.loads, lines) if "dev/ndcg@10" in row]
    assert steps == [2, 3]
    assert made.manifest["training"]["dev"]["value"] > 0


def test_plain_texts_are_refused_for_pairs(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"t": "one"}\n{"t": "two"}\n')
    source = Source("texts", Columns(text="t"), path=str(path))
    with pytest.raises(ConfigError, match="texts holds texts, not pairs"):
        pretrain(source)


def test_lengths_beyond_the_encoders_positions_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="do not fit the encoder's 512 positions"):
        start(tmp_path, lengths=Lengths(32, 511))


def test_impossible_pairs_are_refused_before_a_model_loads(tmp_path):
    with pytest.raises(ConfigError, match="temperature"):
        InfoNCE(temperature=0.0)
    with pytest.raises(ConfigError, match=r"fit\.batch"):
        Pretrain(
            data=Mixture([pairs(tmp_path)]),
            optim=AdamW(lr=1e-3),
            fit=Fit(batch=1, precision="fp32"),
        )
