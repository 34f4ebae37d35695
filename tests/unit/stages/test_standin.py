"""A recipe without a network: the same shapes, nothing from the hub, other names."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from trivet.bench.bench import Bench
from trivet.bench.folder import Folder
from trivet.bench.hub import Hub
from trivet.core.errors import ConfigError
from trivet.core.machine import Machine
from trivet.core.places import asset
from trivet.core.schema import content
from trivet.data.columns import Columns
from trivet.data.mixture import Family, Mixture
from trivet.data.sources import Source
from trivet.data.texts import sentences
from trivet.mining.teachers import EndpointTeacher, ModelTeacher, Teacher
from trivet.models.backbone import Fresh, Pretrained
from trivet.stages.plan import Debug, Train, plan
from trivet.stages.standin import StandIn, stand_in
from trivet.training.settings import Fit

PINNED = "1" * 40
SHAPES = {
    "pairs": Columns(query="q", positive="p"),
    "pairs with two negatives": Columns(query="q", positive="p", negatives=["m", "n"]),
    "pairs with a list of negatives": Columns(query="q", positive="p", negatives=["all"]),
    "tuples": Columns(query="q", documents="d", scores="s"),
    "texts": Columns(text="t"),
}
WIDTHS = dict(zip(SHAPES, (1, 3, 8, 16, 1), strict=True))


def hub(name="s", shape="pairs", **fields):
    return Source(name, columns=SHAPES[shape], hub="some/rows", revision=PINNED, **fields)


@dataclass
class Holder:
    """A config that no stage has, with sources and backbones at some depth."""

    teacher: Pretrained | None = None
    texts: dict[str, list[Mixture]] = field(default_factory=dict)
    fit: Fit | None = None
    width: int = 7


@pytest.mark.parametrize("shape", SHAPES)
def test_a_source_of_any_kind_has_rows_of_its_shape(tmp_path, shape):
    real = hub(shape=shape, prompts={"query": "q: "}, in_domain=True, share=0.5, rows=10**9)
    table = stand_in(real, 8).open(tmp_path)
    got = table.read(np.arange(len(table)))
    assert table.kind == real.columns.kind and table.in_domain
    assert got.source == "s" and got.prompts == {"query": "q: "}
    assert {len(documents) for documents in got.documents} == {WIDTHS[shape]}
    assert all(len(set(documents)) == len(documents) for documents in got.documents)
    assert (got.scores is not None) == (shape == "tuples")
    assert len(table) >= 4 * 8
    for scores in got.scores or []:
        assert scores == sorted(scores, reverse=True) and len(scores) == WIDTHS[shape]


def test_what_is_on_this_machine_stays(tmp_path):
    place = str(tmp_path)
    for source in (
        Source("s", columns=SHAPES["pairs"], path=place),
        Source("s", columns=SHAPES["pairs"], path=[place, place], limit=9),
        Source("s", beir=place, limit=999),
        Source("s", tokens=place),
        Source("s", tokens="bert-base-uncased"),
    ):
        first = min(64, source.limit or 64)  # rows: a teacher would read all of them
        assert stand_in(source, 8) == dataclasses.replace(source, limit=first)
    for here in (
        Pretrained(path=place),
        ModelTeacher(place),
        ModelTeacher("some_package:model"),
        Folder(place),
        Hub("task", "some/task", path=place),
    ):
        assert stand_in(here, 8) is here


def test_files_that_are_not_there_have_rows_all_the_same(tmp_path):
    gone = str(tmp_path / "gone")
    for missing in (
        Source("s", SHAPES["texts"], path=gone),
        Source("s", SHAPES["pairs"], path=[str(tmp_path), gone]),
        Source("s", beir=gone),
        Source("s", tokens="some/tokenizer"),
    ):
        table = stand_in(missing, 8).open(tmp_path / missing.kind)
        assert table.kind == missing.kind and len(table) >= 4 * 8


def test_rows_whose_texts_are_not_here_have_some_all_the_same(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "words", "p": 3}')
    here = tmp_path / "texts.jsonl"
    here.write_text('{"i": 3, "t": "three"}')
    for place, is_there in ((here, True), (tmp_path / "gone", False)):
        texts = Source("t", Columns(id="i", text="t"), path=str(place))
        real = Source("s", SHAPES["pairs"], path=str(path), document_texts=texts)
        got = stand_in(real, 8).open(tmp_path / "cache").read(np.array([0]))
        assert ((got.queries, got.documents) == (["words"], [["three"]])) == is_there


@pytest.mark.parametrize("split", [False, True])
def test_plain_texts_keep_their_side_and_their_sentences(tmp_path, split):
    table = stand_in(hub(shape="texts", side="query", sentences=split), 8).open(tmp_path)
    got = table.read(np.arange(len(table)))
    assert all(got.queries) and not any(got.documents)
    assert any(len(list(sentences(text))) > 1 for text in got.queries) != split


def test_tokens_are_those_of_the_shipped_tokenizer(tmp_path):
    table = stand_in(Source("s", tokens="some/tokenizer"), 8).open(tmp_path)
    (texts,) = zip(*table.read(np.arange(len(table))).documents, strict=True)
    assert len(set(texts)) == len(texts) == 8 * 8 and not any(" " in text for text in texts)


@pytest.mark.parametrize(
    "real",
    [
        ModelTeacher("some/teacher", dim=64, normalize=False),
        EndpointTeacher("name", url="http://127.0.0.1:1/v1", dim=64, normalize=False),
    ],
    ids=["model", "server"],
)
def test_a_teacher_that_is_not_here_has_as_many_dimensions(real):
    teacher = stand_in({"at": real}, 8)["at"]
    texts = ["red", "green", "red"]
    one, two = teacher.encode(texts, "query", [[0, 1], [2]], Machine("cpu"))
    assert isinstance(teacher, Teacher) and not teacher.normalize
    assert one.rows.tolist() == [0, 1] and two.rows.tolist() == [2]
    assert one.vectors.shape == (2, 64) and one.truncated == 0
    assert torch.equal(one.vectors[0], two.vectors[0])  # a text's vector is its own
    assert not torch.equal(one.vectors[0], one.vectors[1])
    with pytest.raises(ConfigError, match="dimensions are not known"):
        stand_in(dataclasses.replace(real, dim=None), 8)


def test_a_bench_that_is_not_here_is_the_shipped_one_in_its_name(tmp_path):
    for real in (Hub("far", "some/task", PINNED), Folder(str(tmp_path / "gone"), "far")):
        bench = stand_in(Bench("b", [real]), 8)
        assert bench.tasks[0].name == "far" and len(bench.tasks[0].load().queries) == 300


def test_what_comes_from_the_hub_is_replaced_wherever_it_stands():
    one, two = hub("one"), hub("two")
    mixture = Mixture([two], families={"f": Family([one])})
    held = Holder(Pretrained(hub="jhu-clsp/ettin-encoder-17m"), {"a": [mixture]}, Fit(512, "bf16"))
    made = stand_in(held, 8)
    assert isinstance(made.teacher, Fresh) and made.teacher.architecture["num_hidden_layers"] == 7
    inside = made.texts["a"][0]
    assert [source.name for source in inside.sources] == ["one", "two"]
    assert all(isinstance(source, StandIn) for source in inside.sources)
    assert inside.families["f"].sources[0] is inside.sources[0]
    assert (made.fit.batch, made.fit.precision, made.width) == (8, "bf16", 7)
    assert held.texts["a"][0].sources == [one, two] and held.fit.batch == 512  # as it was


def test_a_batch_is_never_made_larger():
    assert stand_in(Fit(4, "fp32"), 8).batch == 4


def test_nothing_that_stood_in_has_the_name_of_the_real_thing():
    real = [hub(shape=shape) for shape in SHAPES]
    real += [ModelTeacher("some/teacher", PINNED, dim=64), Hub("task", "some/task", PINNED)]
    real += [EndpointTeacher("name", url="http://127.0.0.1:1/v1", dim=64)]
    for one in real:
        assert content(stand_in(one, 8)) != content(one)
    # the same rows as a source, as a file of one's own, and as the same tokenizer's tokens
    sample = str(asset("demo/scitldr.jsonl.gz"))
    for gone, there in (
        (hub(limit=9), Source("s", SHAPES["pairs"], path=sample, limit=9)),
        (Source("s", tokens="x/y", limit=9), Source("s", tokens="bert-base-uncased", limit=9)),
    ):
        assert content(stand_in(gone, 8)) != content(there)
        assert stand_in(gone, 8).fingerprint() != there.fingerprint()


def test_a_random_backbone_has_the_real_one_s_shape_and_the_shipped_tokenizer():
    encoder, tokenizer = stand_in(Pretrained(hub="jhu-clsp/ettin-encoder-17m"), 8).load()
    assert sum(weight.numel() for weight in encoder.parameters()) == 16_797_440
    assert len(tokenizer) == 30_522
    cut = stand_in(Pretrained(hub="jhu-clsp/ettin-encoder-32m", layers=3), 8)
    assert cut.architecture["num_hidden_layers"] == 3
    shape = {"model_type": "bert"}
    assert stand_in(Fresh(shape, tokenizer="some/hub"), 8).tokenizer == "bert-base-uncased"


def test_a_hub_model_of_unknown_shape_is_named():
    with pytest.raises(ConfigError, match="some/model: its shape is not known without the hub"):
        stand_in(Pretrained(hub="some/model"), 8)


def test_a_plan_that_stands_in_asks_no_hub_and_has_keys_of_its_own(tmp_path):
    from trivet.stages.start import Start

    def key(backbone, **debug):
        train = Train(
            stages={"s": Start(backbone=backbone)}, out=str(tmp_path), debug=Debug(**debug)
        )
        return plan(train)[0].key

    # offline, as all tests are, the first would not have a key at all
    assert key(Pretrained(hub="jhu-clsp/ettin-encoder-17m"), stand_in=8)
    fresh = Fresh({"model_type": "bert"})
    assert key(fresh, stand_in=8) == key(fresh)  # nothing of it is on the hub
    with pytest.raises(ConfigError, match="stand_in: must be at least 2"):
        Debug(stand_in=1)
