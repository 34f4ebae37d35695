"""The real loaders against a hub on this machine, each in a process and a cache of its own."""

import json

import pytest

_DATASET = """
import json, sys
from pathlib import Path
import numpy as np
from trivet.core.errors import TrivetError
from trivet.data.columns import Columns
from trivet.data.sources import Source
try:
    source = Source("s", columns=Columns(query="q", positive="p"), **json.loads(sys.argv[1]))
    table = source.open(Path(sys.argv[2]))
    print(json.dumps(table.read(np.arange(len(table))).queries))
except TrivetError as error:
    print("refused:", error)
"""
_JOINED = """
import json, sys
from pathlib import Path
import numpy as np
from trivet.data.columns import Columns
from trivet.data.sources import Source
where = json.loads(sys.argv[1])
texts = {
    f"{side}_texts": Source(side, Columns(id="id", text="text"), subset=side, **where)
    for side in ("query", "document")
}
columns = Columns(query="query_id", documents="document_ids", scores="scores")
table = Source("s", columns, subset="train", **where, **texts).open(Path(sys.argv[2]))
got = table.read(np.arange(len(table)))
print(json.dumps([got.queries, got.documents, got.scores]))
"""
_MODEL = """
import json, sys
from pathlib import Path
from trivet.core.errors import TrivetError
from trivet.core.hub import hub_model
try:
    fields = json.loads(sys.argv[1])
    layout = fields.pop("layout")
    folder = hub_model(**fields)
    from trivet.models.layout import load_dense  # here, for a refusal needs no torch
    from trivet.models.loading import load_encoder, load_tokenizer
    if layout == "dense":
        model = load_dense(folder)
        encoder, tokens = model.encoder, model.tokenizer(["tea"], "query").ids[0].tolist()
    else:
        encoder, tokens = load_encoder(folder), load_tokenizer(folder)("tea")["input_ids"]
    total = sum(weight.double().abs().sum().item() for weight in encoder.parameters())
    print(json.dumps([tokens, round(total, 6)]))
except TrivetError as error:
    print("refused:", error)
"""


def jsonl(count, first="q"):
    rows = ({"q": f"{first}{i}", "p": f"p{i}"} for i in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def pairs(hub):
    files = {"README.md": b"# pairs\n", "train.jsonl": jsonl(3), "dev.jsonl": jsonl(2)}
    return hub.add("dataset", "some/pairs", files)


def test_a_dataset_comes_by_branch_and_by_commit_and_again_offline(hub, url, pairs, ask):
    expected = json.dumps(["q0", "q1", "q2"])
    assert ask(_DATASET, url, hub="some/pairs") == expected
    assert ask(_DATASET, url, hub="some/pairs", revision=pairs, fresh="2") == expected
    hub.asked.clear()
    assert ask(_DATASET, url, offline=True, hub="some/pairs", fresh="3") == expected
    pinned = {"hub": "some/pairs", "revision": pairs}
    assert ask(_DATASET, url, offline=True, fresh="4", **pinned) == expected
    assert hub.asked == []


def test_a_pinned_commit_is_not_the_branch_s_newest(hub, url, pairs, ask):
    hub.add("dataset", "some/pairs", {"train.jsonl": jsonl(1, "new")})
    assert ask(_DATASET, url, hub="some/pairs") == json.dumps(["new0"])
    old = ask(_DATASET, url, hub="some/pairs", revision=pairs)
    assert old == json.dumps(["q0", "q1", "q2"])


def test_offline_another_commit_never_stands_in_for_the_one_asked_for(url, pairs, ask):
    ask(_DATASET, url, hub="some/pairs")
    said = ask(_DATASET, url, offline=True, hub="some/pairs", revision="2" * 40)
    assert said.startswith("refused: dataset some/pairs (revision 222")
    assert "only another revision is in the local cache" in said


def test_rows_of_one_configuration_find_their_texts_in_two_others(hub, url, ask):
    names = {"train": "rows", "query": "queries", "document": "documents"}
    card = "".join(f"- config_name: {k}\n  data_files: {v}.jsonl\n" for k, v in names.items())
    row = {"query_id": "b", "document_ids": "['2', '1']", "scores": "[1.0, 0.5]"}
    tables = {
        "rows": [row],
        "queries": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}],
        "documents": [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}],
    }
    files = {
        f"{name}.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode()
        for name, rows in tables.items()
    }
    hub.add(
        "dataset", "some/scored", {"README.md": f"---\nconfigs:\n{card}---\n".encode(), **files}
    )
    said = ask(_JOINED, url, hub="some/scored")
    assert said == json.dumps([["B"], [["two", "one"]], [[1.0, 0.5]]])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hub": "some/gone"}, "neither a folder here nor a dataset on the hub"),
        ({"hub": "some/gone", "revision": "1" * 40}, "doesn't exist"),
        ({"hub": "some/pairs", "revision": "v9"}, "no such revision"),
        ({"hub": "some/pairs", "revision": "1" * 40}, "doesn't exist"),
        ({"hub": "some/pairs", "split": "trian"}, "trian"),
        ({"hub": "some/pairs", "subset": "en"}, "en"),
        ({"hub": "some/broken"}, "its rows cannot be read"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(hub, url, pairs, ask, fields, words):
    hub.add("dataset", "some/broken", {"train.jsonl": b'{"q": "x"}\n{"q"\n'})
    said = ask(_DATASET, url, **fields)
    assert said.startswith(f"refused: dataset {fields['hub']}")
    assert words in said


def test_a_dataset_that_was_never_loaded_is_named_offline(url, pairs, ask):
    said = ask(_DATASET, url, offline=True, hub="some/pairs")
    assert said.startswith("refused: dataset some/pairs")
    assert "HF_HUB_OFFLINE" in said


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny BERT, as transformers saves it and as trivet does."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    from trivet.models.dense import Dense
    from trivet.models.layout import save_dense
    from trivet.models.tokens import Tokenizer

    folder = tmp_path_factory.mktemp("weights")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "heart"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    inner = BertTokenizerFast(vocab=str(folder / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    for name in ("plain", "dense"):
        (folder / name).mkdir()
    encoder.save_pretrained(folder / "plain")
    inner.save_pretrained(folder / "plain")
    prompts, lengths = {"query": "", "document": ""}, {"query": 16, "document": 16}
    tokenizer = Tokenizer(inner, prompts=prompts, lengths=lengths, limit=32)
    save_dense(Dense(encoder, tokenizer), folder / "dense")
    total = sum(weight.double().abs().sum().item() for weight in encoder.parameters())
    return folder, json.dumps([inner("tea")["input_ids"], round(total, 6)])


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["plain", "dense"])
def test_a_model_comes_by_branch_and_by_commit_and_again_offline(hub, url, weights, ask, layout):
    folder, expected = weights
    commit = hub.add_folder("model", "some/model", folder / layout)
    assert ask(_MODEL, url, repo="some/model", layout=layout) == expected
    assert ask(_MODEL, url, repo="some/model", revision=commit, layout=layout) == expected
    hub.asked.clear()
    assert ask(_MODEL, url, offline=True, repo="some/model", layout=layout) == expected
    assert hub.asked == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"repo": "some/gone"}, "neither a folder here nor a model on the hub"),
        ({"repo": "some/gone", "revision": "1" * 40}, "neither a folder here nor a model"),
        ({"repo": "some/model", "revision": "v9"}, "no such revision"),
        ({"repo": "no//model"}, "neither a folder here nor a model"),
    ],
)
def test_a_model_that_the_hub_does_not_have_is_one_line(hub, url, ask, fields, words):
    hub.add("model", "some/model", {"config.json": b"{}"})
    said = ask(_MODEL, url, layout="plain", **fields)
    assert said.startswith(f"refused: model {fields['repo']}")
    assert words in said


def test_a_hub_that_is_gone_is_one_line(serve, hub, pairs, ask):
    with serve(hub) as url:
        pass  # an address where nothing listens any more
    for said in (
        ask(_DATASET, url, hub="some/pairs"),
        ask(_MODEL, url, repo="some/model", layout="plain"),
    ):
        assert said.startswith("refused: ")
        assert "the hub does not answer" in said or "cannot be reached" in said


@pytest.mark.slow
def test_a_download_that_stalls_ends_in_one_line(hub, url, pairs, ask):
    hub.add("model", "some/model", {"config.json": b"{}" * 100})
    hub.stalled |= {"train.jsonl", "config.json"}
    for said in (
        ask(_DATASET, url, hub="some/pairs"),
        ask(_MODEL, url, repo="some/model", layout="plain"),
    ):
        assert said.startswith("refused: ")
        assert "the hub does not answer" in said
