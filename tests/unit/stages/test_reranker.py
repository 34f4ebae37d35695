"""Any encoder becomes a reranker, on mined negatives and on a teacher's scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from trivet.bench.bench import Bench
from trivet.bench.folder import Folder
from trivet.core.artifact import CARD, Artifact, Store
from trivet.core.errors import ArtifactError, ConfigError, DataError
from trivet.core.machine import Machine
from trivet.core.records import Batch
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.bce import BCE
from trivet.losses.infonce import InfoNCE
from trivet.losses.kl import Side
from trivet.losses.lambda_loss import LambdaLoss
from trivet.losses.listwise import Listwise
from trivet.mining.scores import Scores
from trivet.models.backbone import Fresh
from trivet.models.cross_layout import load_cross, made_cross
from trivet.models.projections import FeedForward
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.retrieval.rerankers import CrossEncoder
from trivet.stages.colbert import Colbert
from trivet.stages.late import Term
from trivet.stages.rerank_dev import RerankDev
from trivet.stages.reranker import Reranker, judge, preparer
from trivet.stages.start import Lengths, Start
from trivet.training.settings import Fit

BERT = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.1,
}
MODERN = BERT | {
    "model_type": "modernbert",
    "pad_token_id": 0,
    "cls_token_id": 101,
    "bos_token_id": 101,
    "sep_token_id": 102,
    "eos_token_id": 102,
}
WORDS = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
PAIRS = [
    ("What is RED?", "a big, red thing"),
    ("what is blue?", "Grey. " * 40),  # cut, to what its query leaves
    ("grey", "it is pink, or it is white, and so on and so on; nothing is known of it " * 2),
]


def work(folder, stage, resume="auto", key=""):
    run = Run(
        folder,
        "run",
        {},
        Store(folder / "store"),
        folder / "cache",
        Machine("cpu"),
        Jsonl(),
        resume,
    )
    return Work(run, stage, key or stage[0] * 64, {})


def started(folder, shape=BERT, name="start", lengths=(8, 20)):
    return Start(backbone=Fresh(shape), lengths=Lengths(*lengths)).run(None, work(folder, name))


@pytest.fixture
def parent(tmp_path):
    return started(tmp_path)


def rows(folder, name="rows", ways=4, **columns):
    """What is asked for stands first; the scores say so, too."""
    path = folder / f"{name}.jsonl"
    lines = []
    for i, word in enumerate(WORDS * 2):
        others = [f"it is {WORDS[(i + j) % 8]}" for j in range(1, ways)]
        positive = f"a thing that is {word}"
        lines.append({"q": f"what is {word}?", "p": positive, "n": others,
                      "d": [positive, *others], "s": [3.0, *(0.5 for _ in others)]})  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    columns = columns or {"query": "q", "positive": "p", "negatives": ["n"]}
    return Source(name, Columns(**columns), path=str(path))


def tuples(folder, **options):
    return rows(folder, "tuples", query="q", documents="d", scores="s", **options)


def stage(source, **options) -> Reranker:
    given = {
        "data": Mixture([source], epochs=15),
        "loss": Listwise(),
        "optim": AdamW(lr=3e-3, schedule=Schedule(warmup=0.1)),
        "fit": Fit(batch=8, precision="fp32", log_every=1),
    }
    return Reranker(**(given | options))


def trained(tmp_path, parent, source, name="reranker", **options):
    made = stage(source, **options).run(parent, work(tmp_path, name))
    lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
    return made, [json.loads(line) for line in lines]


def losses(lines):
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (BCE(), "first"),
        (Listwise(), "first"),
        (LambdaLoss(), "first"),
        (BCE("minmax"), "scores"),
        (Listwise(1.0, Side("minmax", 0.2)), "scores"),
        (LambdaLoss(), "scores"),
    ],
)
def test_it_learns_by_each_loss_from_negatives_and_from_scores(tmp_path, parent, loss, labels):
    source = rows(tmp_path) if labels == "first" else tuples(tmp_path)
    made, lines = trained(tmp_path, parent, source, loss=loss, labels=labels)
    assert losses(lines)[-1] < 0.8 * losses(lines)[0]
    assert made.manifest["trained_on"] == [source.name]


@pytest.mark.parametrize("shape", [BERT, MODERN], ids=["bert", "modernbert"])
def test_its_scores_are_those_of_every_loader(tmp_path, shape):
    peer = pytest.importorskip("sentence_transformers").CrossEncoder
    parent = started(tmp_path, shape)
    made, _ = trained(tmp_path, parent, rows(tmp_path), fit=Fit(batch=8, precision="fp32", steps=4))
    model = load_cross(made.path).eval()
    with torch.no_grad():
        mine = model(model.tokenizer(*map(list, zip(*PAIRS, strict=True))).ids).tolist()
    assert np.std(mine) > 1e-3
    theirs = peer(str(made.path), device="cpu")
    assert theirs.tokenizer.model_max_length == model.tokenizer.total == 31
    assert theirs.predict(PAIRS).tolist() == pytest.approx(mine, abs=1e-5)
    told = (made.path / CARD).read_text(encoding="utf-8").partition("```python\n")[2]
    space: dict = {}
    exec(told.partition("```")[0].replace("MODEL", str(made.path)), space)
    assert np.isfinite(space["scores"]).all() and len(space["scores"]) == 2
    ours = CrossEncoder(str(made.path), machine=Machine("cpu"))
    assert ours.score(PAIRS).tolist() == pytest.approx(mine, abs=1e-5)
    assert ours.describe()["lengths"] == {"pair": 31, "query": 8, "document": 20}
    assert ours.describe()["truncated_pair_share"] == pytest.approx(2 / 3, abs=1e-5)


def test_trivet_score_takes_it_as_a_teacher(tmp_path, parent):
    source = rows(tmp_path)
    made, _ = trained(tmp_path, parent, source, fit=Fit(batch=8, precision="fp32", steps=4))
    teacher = CrossEncoder(str(made.path), machine=Machine("cpu"))
    scored = Scores(reranker=teacher).run(source, Store(tmp_path / "store"), tmp_path / "cache")
    assert scored.manifest["teacher"]["model_key"] == made.key
    assert scored.manifest["statistics"]["rows"]["written"] == 16


def test_casing_stands_in_the_tokenizer_so_that_every_loader_has_it(tmp_path):
    peer = pytest.importorskip("sentence_transformers").CrossEncoder
    parent = started(tmp_path)
    path = parent.path / "tokenizer.json"  # a cased tokenizer, of a class that builds itself anew
    made = json.loads(path.read_text())
    made["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(made))
    settings = parent.path / "tokenizer_config.json"
    told = json.loads(settings.read_text()) | {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": False,
    }
    settings.write_text(json.dumps(told))
    kept, lower = (
        made_cross(parent.path, seed=0, lengths={}, lower=lower) for lower in (None, True)
    )
    ids = [model.tokenizer(["RED"], ["Grey"]).ids.values[:, 0] for model in (kept, lower)]
    unknown = kept.tokenizer.inner.unk_token_id
    assert unknown in ids[0] and unknown not in ids[1]
    fit = Fit(batch=8, precision="fp32", steps=2)
    done, _ = trained(tmp_path, parent, rows(tmp_path), lower=True, fit=fit)
    theirs = peer(str(done.path), device="cpu")
    assert theirs.tokenizer("RED", "Grey")["input_ids"] == ids[1].tolist()


def test_any_model_of_an_earlier_stage_can_be_its_body(tmp_path, parent):
    source, fit = rows(tmp_path), Fit(batch=8, precision="fp32", steps=2)
    common = {"data": Mixture([source]), "optim": AdamW(lr=1e-3, schedule=Schedule()), "fit": fit}
    late = Colbert(
        head=FeedForward(dim=8), losses={"nce": Term(InfoNCE(0.1))}, **common
    ).run(parent, work(tmp_path, "colbert"))  # fmt: skip
    first, _ = trained(tmp_path, late, source, name="of colbert")
    assert load_cross(first.path).tokenizer.lengths == {"query": 8, "document": 20}
    more, lines = trained(tmp_path, first, source, name="further", lengths={"query": 9})
    assert losses(lines)[0] < 0.5  # it goes on from what it had learned
    assert load_cross(more.path).tokenizer.lengths == {"query": 9, "document": 20}


def test_the_seed_draws_the_head_and_nothing_below_it(parent):
    one, again, other = (
        made_cross(parent.path, seed=seed, lengths={}).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(one[name], again[name]) for name in one)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == {"model.classifier.weight", "model.bert.pooler.dense.weight"}


def test_each_side_is_cut_and_a_bound_cuts_both_alike(parent):
    tokens = made_cross(parent.path, seed=0, lengths={}).tokenizer
    red, blue = (tokens.inner.convert_tokens_to_ids(word) for word in ("red", "blue"))

    def counts(query, document):
        row = tokens(["red " * query], ["blue " * document]).ids[0][:, 0].tolist()
        return row.count(red), row.count(blue)

    assert [counts(3, 9), counts(30, 90), counts(3, 90)] == [(3, 9), (8, 20), (3, 25)]
    tokens.limit = 17  # three of them are special
    assert [counts(30, 90), counts(1, 90)] == [(4, 10), (1, 13)]


def test_dropout_is_that_of_all_layers(parent):
    model = made_cross(parent.path, seed=0, lengths={}, dropout=0.3)
    found = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert found == {0.3}


@pytest.mark.parametrize("loss", [BCE(), Listwise(), LambdaLoss()])
@pytest.mark.parametrize("budget", [40, 10_000])
def test_gradients_are_those_of_whole_lists_one_pair_at_a_time(tmp_path, parent, loss, budget):
    """However pairs are cut into micro-batches, with GradCache and without."""
    from trivet.training.step import Stepper

    batch = stage(rows(tmp_path)).data.open(tmp_path, batch=4, seed=0)[0]

    def fresh():
        return made_cross(parent.path, seed=0, lengths={}).double()

    model = fresh()
    lists = [
        torch.cat([model(model.tokenizer([query], [document]).ids) for document in documents])
        for query, documents in zip(batch.queries, batch.documents, strict=True)
    ]
    first = torch.eye(4, dtype=torch.float64)[:1].expand(4, 4)
    expected = loss(torch.stack(lists), first)
    expected.backward()
    for cached in (False, True):
        other = fresh()
        fit = Fit(batch=4, precision="fp32", cached=cached)
        stepper = Stepper(other, lambda *a: judge(loss, *a), fit, budget=budget, seed=0, what="")
        value = stepper.add(preparer(other, "first", None, 0)(batch), 0)
        assert value == pytest.approx(float(expected.detach()), abs=1e-10)
        for one, two in zip(model.parameters(), other.parameters(), strict=True):
            if one.grad is None or two.grad is None:
                assert one.grad is None and two.grad is None
            else:
                torch.testing.assert_close(two.grad, one.grad, atol=1e-10, rtol=0)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, parent):
    """The same weights, dropout and all."""
    source, weights = rows(tmp_path), []
    for name, stops in (("whole", [8]), ("cut", [3, 8])):
        for steps in stops:
            fit = Fit(batch=8, precision="fp32", log_every=1, save_every=1, steps=steps)
            optim = AdamW(lr=3e-3, schedule=Schedule(shape="constant", warmup=0))
            made = stage(source, fit=fit, optim=optim, dropout=0.2)
            found = made.run(parent, work(tmp_path, name, key=name[0] * 60 + "abcd"))
            weights.append((found.path / "model.safetensors").read_bytes())
            if steps == 3:
                (found.path / "manifest.json").unlink()
    assert weights[0] == weights[2] != weights[1]


def bench(folder):
    (folder / "qrels").mkdir(parents=True)
    texts = [{"_id": f"d{i}", "text": f"a thing that is {word}"} for i, word in enumerate(WORDS)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, texts)))
    asked = [{"_id": f"q{i}", "text": f"what thing is {word}?"} for i, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(8))]
    (folder / "qrels/dev.tsv").write_text("\n".join(lines))
    return Bench("dev", [Folder(str(folder), "dev", "dev")])


def test_a_dev_bench_is_watched_as_the_reranker_orders_it(tmp_path, parent):
    dev = RerankDev(bench(tmp_path / "bench"), every=5, metric="mrr@10", depth=8)
    fit = Fit(batch=8, precision="fp32", log_every=1, steps=10)
    made, lines = trained(tmp_path, parent, rows(tmp_path), dev=dev, fit=fit)
    found = [line["dev/mrr@10"] for line in lines if "dev/mrr@10" in line]
    assert len(found) == 2 and made.manifest["training"]["dev"]["value"] == max(found)
    with pytest.raises(ConfigError, match="depth: must be at least 1"):
        RerankDev(bench(tmp_path / "other"), depth=0)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"ways": 1}, "ways: must be at least 2"),
        ({"ways": 9}, "4 documents, not 9"),
        ({"dropout": 1.0}, "dropout: must be at least 0"),
        ({"loss": BCE("sigmoid")}, "loss: scales scores, and labels are 1 and 0"),
        ({"labels": "scores"}, "rows holds pairs without a teacher's scores"),
        ({"lengths": {"document": 99}}, "8 and 99 content tokens do not fit"),
        ({"lengths": {"passage": 9}}, "no such side"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, parent, fields, match):
    with pytest.raises((ConfigError, DataError), match=match) as caught:
        trained(tmp_path, parent, rows(tmp_path), **fields)
    assert "\n" not in str(caught.value)


def changed(source, row, **fields):
    from pathlib import Path

    lines = [json.loads(line) for line in Path(source.path).read_text().splitlines()]
    lines[row] |= fields
    Path(source.path).write_text("\n".join(map(json.dumps, lines)))
    return source


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"s": [float("nan"), 1, 1, 1]}, "15: a score is not a finite number"),
        ({"s": [1, 1]}, "15: 4 documents, 2 scores"),
        ({"s": [2, -1, 0, 0]}, "tuples row 14: its scores, -1 to 2, do not fit the loss"),
        ({"d": ["red", "it", "is", "\u200b\u200d"]}, r"tuples row 14: a document has no token"),
        ({"q": "\ufffd"}, "tuples row 14: a query has no token"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_before_the_first_step(tmp_path, parent, fields, match):
    source = changed(tuples(tmp_path), 14, **fields)
    with pytest.raises(DataError, match=match):
        trained(tmp_path, parent, source, labels="scores", loss=LambdaLoss())
    assert not (tmp_path / "reranker").exists()


@pytest.mark.parametrize(
    ("ways", "scores"), [(2, [0, 1, 0, 1]), (3, [0, 0, 1, 0]), (None, [0] * 4)]
)
def test_scores_that_do_not_fit_once_some_are_drawn_are_refused_before_the_first_step(
    tmp_path, parent, ways, scores
):
    source = changed(tuples(tmp_path), 14, s=scores)
    with pytest.raises(DataError, match="tuples row 14: its scores, 0 to .* do not fit the loss"):
        trained(tmp_path, parent, source, labels="scores", loss=Listwise(), ways=ways)
    (tmp_path / "other").mkdir()
    source = changed(tuples(tmp_path / "other"), 14, s=[1, 0, 0, 0])
    trained(tmp_path, parent, source, labels="scores", loss=Listwise(), ways=ways)


def test_sources_that_cannot_be_learned_from_are_refused(tmp_path, parent):
    with pytest.raises(ConfigError, match="alone has one document a query"):
        trained(tmp_path, parent, rows(tmp_path, "alone", query="q", positive="p"))
    with pytest.raises(ConfigError, match="plain holds texts, not pairs"):
        trained(tmp_path, parent, rows(tmp_path, "plain", text="p"))
    source = rows(tmp_path)
    source.prompts["query"] = "ask: "
    with pytest.raises(ConfigError, match="rows has prompts, and a cross-encoder reads none"):
        trained(tmp_path, parent, source)


def test_a_tokenizer_that_is_not_the_encoders_is_refused(tmp_path):
    from transformers import AutoModel

    parent = started(tmp_path)
    small = AutoModel.from_pretrained(parent.path, add_pooling_layer=False)
    small.resize_token_embeddings(500)
    small.save_pretrained(parent.path)
    with pytest.raises(ArtifactError, match="its tokenizer has 30522 tokens, its encoder 500"):
        trained(tmp_path, parent, rows(tmp_path))


def test_documents_of_a_row_are_the_first_and_others_drawn_for_it(tmp_path, parent):
    model = made_cross(parent.path, seed=0, lengths={})
    documents = [[f"{word} {i}" for word in WORDS] for i in range(6)]
    scores = [[float(j) for j in range(8)] for _ in range(6)]
    batch = Batch("s", list(range(6)), ["q"] * 6, documents, scores, {})
    found = preparer(model, "scores", 3, 7)(batch)
    assert found.targets.shape == (6, 3) and found.targets[:, 0].tolist() == [0.0] * 6
    assert len({tuple(row.tolist()) for row in found.targets}) > 2 and len(found.tokens) == 18


def test_it_needs_a_parent_and_is_no_dense_model_itself(tmp_path, parent):
    with pytest.raises(ConfigError, match="there is no model to train"):
        stage(rows(tmp_path)).accept(False)
    fit = Fit(batch=8, precision="fp32", steps=2)
    made, _ = trained(tmp_path, parent, rows(tmp_path), fit=fit)
    assert Artifact.open(made.path).stage == "reranker"
