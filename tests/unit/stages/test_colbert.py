"""A dense model becomes a ColBERT model, on tuples with a teacher's scores and on pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from trivet.core.artifact import Store
from trivet.core.errors import ArtifactError, ConfigError, DataError
from trivet.core.machine import Machine
from trivet.core.ragged import Ragged
from trivet.core.records import Batch
from trivet.core.run import Run, Work
from trivet.core.tracker import Jsonl
from trivet.data.columns import Columns
from trivet.data.mixture import Mixture
from trivet.data.sources import Source
from trivet.losses.infonce import InfoNCE
from trivet.losses.kl import KL, Side
from trivet.losses.margin_mse import MarginMSE
from trivet.models.backbone import Fresh
from trivet.models.colbert_layout import load_colbert
from trivet.models.layout import load_dense
from trivet.models.projections import FeedForward
from trivet.optim.adamw import AdamW
from trivet.optim.schedule import Schedule
from trivet.stages.colbert import Colbert
from trivet.stages.late import Bags, Term, judge, preparer
from trivet.stages.start import Lengths, Prompts, Start
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
WORDS = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]


def work(folder, stage):
    run = Run(folder, "run", {}, Store(folder / "store"), folder / "cache", Machine("cpu"), Jsonl())
    return Work(run, stage, stage[0] * 64, {})


@pytest.fixture
def parent(tmp_path):
    stage = Start(backbone=Fresh(SHAPE), lengths=Lengths(8, 20), prompts=Prompts("ask: ", ""))
    return stage.run(None, work(tmp_path, "start"))


def tuples(folder, ways=4):
    path = folder / "tuples.jsonl"
    rows = []
    for i, word in enumerate(WORDS * 2):
        others = [WORDS[(i + j) % 8] for j in range(1, ways)]
        documents = [f"a thing that is {word}, and big", *(f"it is {other}." for other in others)]
        rows.append({"q": f"what is {word}?", "d": documents, "s": [9.0, *range(ways - 1)]})
    path.write_text("\n".join(map(json.dumps, rows)))
    return Source("tuples", Columns(query="q", documents="d", scores="s"), path=str(path))


def stage(source, **options) -> Colbert:
    given = {
        "data": Mixture([source], epochs=15),
        "head": FeedForward(dim=8, depth=2, residual=True),
        "losses": {"kl": Term(KL(Side("minmax"), Side("minmax", 0.2)))},
        "optim": AdamW(lr=3e-3, schedule=Schedule(warmup=0.1)),
        "fit": Fit(batch=8, precision="fp32", log_every=1),
    }
    return Colbert(**(given | options))


def trained(tmp_path, parent, source, name="colbert", **options):
    made = stage(source, **options).run(parent, work(tmp_path, name))
    lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
    return made, [json.loads(line)["loss"] for line in lines]


@pytest.mark.parametrize("loss", [KL(Side(), Side()), MarginMSE(), InfoNCE(0.1)])
@pytest.mark.parametrize("cached", [False, True])
def test_it_learns_by_each_loss_with_gradcache_too(tmp_path, parent, loss, cached):
    fit = Fit(batch=8, precision="fp32", log_every=1, cached=cached)
    _, losses = trained(tmp_path, parent, tuples(tmp_path), losses={"one": Term(loss)}, fit=fit)
    assert losses[-1] < 0.7 * losses[0]


def test_what_it_saves_has_the_settings_and_loads_in_pylate_with_equal_vectors(tmp_path, parent):
    pylate = pytest.importorskip("pylate.models")
    made, _ = trained(
        tmp_path,
        parent,
        tuples(tmp_path),
        lengths={"query": 12},
        prompts={"document": "say: "},
        expansion="mask",
        skip="punctuation",
        lower=True,
    )
    assert "library_name: PyLate" in (made.path / "README.md").read_text()
    assert "README.md" not in made.manifest["files"]
    model = load_colbert(made.path).eval()
    tokenizer = model.tokenizer
    assert tokenizer.lengths == {"query": 12, "document": 20} and model.dim == 8
    assert tokenizer.prompts == {"query": "ask: ", "document": "say: "} and tokenizer.lower
    assert set(tokenizer.markers) == {"query", "document"} and len(model.skip) == 32
    theirs = pylate.ColBERT(str(made.path), device="cpu")
    texts = ["What is RED?", "a big, grey thing"]
    for side in ("query", "document"):
        found = theirs.encode(
            texts, is_query=side == "query", prompt_name=side, show_progress_bar=False
        )
        with torch.no_grad():
            mine = model(tokenizer(texts, side).ids, side)
        for one, other in zip(mine, found, strict=True):
            torch.testing.assert_close(one, torch.as_tensor(other), atol=1e-5, rtol=0)


@pytest.mark.parametrize("skip", ["none", "punctuation"])
def test_the_loss_and_its_gradient_are_pylates_where_masked_tokens_score_zero(
    tmp_path, parent, skip
):
    """PyLate multiplies padded and skipped tokens by 0 and lets them win; so a 0 is added here."""
    models = pytest.importorskip("pylate.models")
    losses = pytest.importorskip("pylate.losses")
    made, _ = trained(tmp_path, parent, tuples(tmp_path), skip=skip)
    model = load_colbert(made.path).train()
    model.tokenizer.prompts = {"query": "", "document": ""}
    theirs = models.ColBERT(str(made.path), device="cpu").train()
    rows = [json.loads(line) for line in (tmp_path / "tuples.jsonl").read_text().splitlines()][:4]
    documents = [text for row in rows for text in row["d"]]
    labels = torch.tensor([row["s"] for row in rows])
    features = [
        theirs.tokenize([row["q"] for row in rows], is_query=True),
        theirs.tokenize(documents, is_query=False),
    ]
    expected = losses.Distillation(theirs)(features, labels)
    expected.backward()

    batch = Batch("t", [0, 1, 2, 3], [row["q"] for row in rows], [row["d"] for row in rows],
                  [row["s"] for row in rows], {})  # fmt: skip
    prepared = preparer(model, None, 0)(batch)
    bags = list(Bags(model)(prepared.tokens))
    longest = features[1]["input_ids"].shape[1]
    for i, row in enumerate(bags[4:], 4):
        if len(row) < longest:
            bags[i] = torch.cat([row, torch.zeros(1, row.shape[1])])
    found = judge({"kl": Term(KL(Side("minmax"), Side()))}, Ragged.of(bags), prepared.targets)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    found.backward()
    mine = dict(model.encoder.named_parameters())
    for name, parameter in theirs[0].auto_model.named_parameters():
        if parameter.grad is not None and "pooler" not in name:
            torch.testing.assert_close(mine[name].grad, parameter.grad, atol=5e-5, rtol=1e-3)


def test_a_linear_head_is_saved_as_one_layer_with_equal_vectors(tmp_path, parent):
    source, head = tuples(tmp_path), FeedForward(dim=8, depth=3, residual=True, scale=0.5)
    made = [trained(tmp_path, parent, source, f"fold {fold}", head=head, fold=fold)[0].path
            for fold in (False, True)]  # fmt: skip
    whole, folded = (load_colbert(path).eval() for path in made)
    assert (len(whole.head), len(folded.head)) == (3, 1)
    ids = whole.tokenizer(["what is red?", "a big, grey thing"], "document").ids
    with torch.no_grad():
        found = [model(ids, "document").values for model in (whole, folded)]
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)
    curved = FeedForward(dim=8, depth=2, activation="gelu")
    with pytest.raises(ConfigError, match="fold: the head is not linear"):
        trained(tmp_path, parent, source, "other", head=curved, fold=True)


def test_a_row_has_its_first_document_and_others_drawn_for_it(tmp_path, parent):
    model = stage(tuples(tmp_path))._model(parent.path)
    documents = [[f"number {i} {j}" for j in range(6)] for i in range(9)]
    scores = [[float(10 * i + j) for j in range(6)] for i in range(9)]
    batch = Batch("s", list(range(9)), [f"q{i}" for i in range(9)], documents, scores, {})
    labels = preparer(model, 3, 7)(batch).targets.labels
    assert labels.shape == (9, 3) and labels[:, 0].tolist() == [10 * i for i in range(9)]
    assert len({tuple((row - row[0]).tolist()) for row in labels}) > 2  # not the same for all
    again = Batch("s", [8], ["q8"], documents[8:], scores[8:], {})
    assert preparer(model, 3, 7)(again).targets.labels[0].tolist() == labels[8].tolist()


def test_a_parent_that_is_a_colbert_model_is_trained_on(tmp_path, parent):
    source = tuples(tmp_path)
    made, losses = trained(tmp_path, parent, source)
    more, again = trained(tmp_path, made, source, name="more", head=None)
    assert again[0] < losses[0] and load_colbert(more.path).tokenizer.lengths["document"] == 20
    with pytest.raises(ConfigError, match="is a ColBERT model already"):
        trained(tmp_path, made, source, name="other")
    with pytest.raises(ConfigError, match="one vector a text.*Choose a head"):
        trained(tmp_path, parent, source, name="other", head=None)


def test_a_colbert_parent_is_given_what_the_stage_says_and_keeps_the_rest(tmp_path, parent):
    source = tuples(tmp_path)
    made, _ = trained(tmp_path, parent, source, expansion="mask", skip=["red"])
    kept = stage(source, head=None)._model(made.path)
    assert kept.expansion == "mask" and len(kept.skip) == 1
    given = stage(source, head=None, expansion="none", skip="punctuation")._model(made.path)
    assert given.expansion == "none" and len(given.skip) == 32
    other = {"query": "[A] ", "document": "[B] "}
    with pytest.raises(ConfigError, match=r"markers: the parent has '\[Q\] ' and '\[D\] '"):
        stage(source, head=None, markers=other)._model(made.path)
    assert stage(source, head=None, markers=None)._model(made.path).tokenizer.markers


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"d": ["\u200b", "a", "b", "c"]}, r"tuples row 16: a document has no token: '\\u200b'"),
        ({"q": "\u200b"}, r"tuples row 16: a query has no token: '\\u200b'"),
        ({"d": ["a", "... !", "b", "c"]}, r"tuples row 16: a document has no token: '\.\.\. !'"),
        (
            {"d": ["a", "! " * 200 + "red", "b", "c"]},
            r"tuples row 16: a document has no token: '! !",
        ),
    ],
)
def test_a_text_without_a_token_is_named_before_the_first_step(tmp_path, parent, row, what):
    source = tuples(tmp_path)
    good = {"q": "what is red?", "d": ["a", "b", "c", "d"], "s": [1.0, 0.0, 0.0, 0.0]}
    with Path(source.path).open("a") as stream:
        stream.write("\n" + json.dumps(good | row))
    with pytest.raises(DataError, match=what):
        trained(tmp_path, parent, source, skip="punctuation")
    assert not list((tmp_path / "colbert").glob("metrics.jsonl"))


def test_a_document_of_skipped_words_alone_is_named_before_the_first_step(tmp_path, parent):
    source = tuples(tmp_path)
    row = {"q": "what is red?", "d": ["a", "b", "c", "red red"], "s": [1.0, 0.0, 0.0, 0.0]}
    with Path(source.path).open("a") as stream:
        stream.write("\n" + json.dumps(row))
    with pytest.raises(DataError, match="tuples row 16: a document has no token: 'red red'"):
        trained(tmp_path, parent, source, skip=["red"])


def test_one_document_a_query_teaches_nothing(tmp_path, parent):
    file = tmp_path / "one.jsonl"
    file.write_text('{"q": "red", "d": ["a red one"], "s": [1.0]}')
    source = Source("one", Columns(query="q", documents="d", scores="s"), path=str(file))
    with pytest.raises(ConfigError, match=r"losses\.kl: one has one document a query"):
        trained(tmp_path, parent, source)


def test_the_seed_draws_the_head_and_nothing_else_moves(tmp_path, parent):
    def weights(seed):
        return stage(tuples(tmp_path), seed=seed)._model(parent.path).state_dict()

    one, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == {"head.0.linear.weight", "head.0.residual.weight", "head.1.linear.weight",
                       "encoder.embeddings.word_embeddings.weight"}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"losses": {}}, "at least one"),
        ({"ways": 1}, "at least 2"),
        ({"ways": 9}, r"4 documents, not 9"),
        ({"skip": ["notatoken"]}, "'notatoken' is no token"),
        ({"markers": {"query": "[Q] "}}, "one of query and document each"),
        ({"markers": {"query": " ", "document": "[D] "}}, r"markers\.query: must not be blank"),
        ({"markers": {"query": "[D] ", "document": "[D] "}}, "markers: both sides have the same"),
        (
            {"head": FeedForward(dim=8, depth=2, factor=0.01)},
            r"head\.factor: 0\.01 of .* less than one",
        ),
        (
            {"head": FeedForward(8, 2, widths=[32], activation="relu", residual=True, scale=0.5)},
            "a scaled residual beside ReLU",
        ),
        ({"head": FeedForward(dim=64)}, "64 dimensions are more than the encoder's 32"),
        ({"head": FeedForward(dim=8, depth=2, gated=True)}, "plain: a head with gates is not"),
        ({"lengths": {"document": 999}}, "999 content tokens do not fit"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path, parent, fields, match):
    with pytest.raises((ConfigError, DataError), match=match):
        trained(tmp_path, parent, tuples(tmp_path), **fields)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"head": FeedForward(dim=8, depth=2, gated=True)}, "plain: a head with gates is not"),
        ({"head": FeedForward(8, 2, activation="gelu"), "fold": True}, "fold: the head is not"),
    ],
)
def test_what_no_encoder_makes_possible_is_refused_in_the_config(tmp_path, fields, match):
    with pytest.raises(ConfigError, match=match):
        stage(tuples(tmp_path), **fields)
    stage(tuples(tmp_path), head=FeedForward(8, 2, factor=0.02))  # of 384 dimensions it is eight


def test_a_prompt_that_leaves_texts_no_room_is_refused(tmp_path, parent):
    limit = load_dense(parent.path).encoder.config.max_position_embeddings
    given = {"prompts": {"query": "word " * limit}}
    with pytest.raises(ConfigError, match=r"prompts\.query: leaves 0 of \d+ content tokens"):
        stage(tuples(tmp_path), **given)._model(parent.path)
    given = {"prompts": {"query": "word " * 3}}
    assert stage(tuples(tmp_path), **given)._model(parent.path).tokenizer.room("query") > 3


def test_a_cross_encoder_is_no_parent(tmp_path, parent):
    (parent.path / "modules.json").unlink()
    with pytest.raises(ArtifactError, match=r"no modules\.json: neither a dense nor a ColBERT"):
        stage(tuples(tmp_path))._model(parent.path)


def test_rows_without_scores_are_refused_where_a_teacher_is_needed(tmp_path, parent):
    pairs = Source("pairs", Columns(query="q", positive="d"), path=tuples(tmp_path).path)
    with pytest.raises(ConfigError, match=r"losses\.kl: pairs holds pairs without a teacher's"):
        stage(pairs)
    with pytest.raises(ConfigError, match=r"fit\.batch: pairs without negatives need at least 2"):
        stage(pairs, losses={"nce": Term(InfoNCE(0.1))}, fit=Fit(1, "fp32"))
    _, losses = trained(tmp_path, parent, pairs, losses={"nce": Term(InfoNCE(0.1))})
    assert losses[-1] < losses[0]


def test_a_document_of_tokens_that_do_not_count_is_named(tmp_path, parent):
    model = stage(tuples(tmp_path), skip=["red", "[CLS]", "[SEP]", "[D] "])._model(parent.path)
    batch = Batch("s", [5], ["q"], [["blue", "red"]], [[1.0, 0.0]], {})
    with pytest.raises(DataError, match=r"s row 5: a document has no token that counts: 'red'"):
        preparer(model, None, 0)(batch)
