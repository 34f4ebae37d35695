"""Segments of an index of learned terms: whole or made anew, and as good as one index of all."""

from __future__ import annotations

import mmap
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from trivet.core.places import asset
from trivet.core.ragged import Ragged
from trivet.core.records import Corpus
from trivet.models.backbone import Fresh
from trivet.models.latent import Latent as Model
from trivet.models.latent import save_latent
from trivet.models.loading import load_tokenizer
from trivet.models.sae import TopK
from trivet.models.tokens import Tokenizer
from trivet.retrieval import segments
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent
from trivet.retrieval.postings_search import best_of_postings
from trivet.retrieval.segments import Segment
from trivet.retrieval.terms import Terms
from trivet.retrieval.vectors import Shard, Vectors

SHAPE = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
TEXTS = ["red apples", "a green field", "blue", "the sea is blue", "", "blues", "deep red", "grass"]
QUERIES = ["green apples", "deep blue sea"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    encoder, _ = Fresh(SHAPE, seed=0).load()
    inner = load_tokenizer(asset("tokenizers/bert-base-uncased"))
    tokenizer = Tokenizer(inner, prompts={"query": "", "document": ""},
                          lengths={"query": 16, "document": 16}, limit=32)  # fmt: skip
    sae = TopK(16, 40, 3)
    sae.draw(0)
    place = tmp_path_factory.mktemp("latent")
    save_latent(Model(encoder, sae, tokenizer), place)
    return place


@pytest.fixture
def encoded(monkeypatch):
    """How many documents were encoded."""
    found = []
    done = Terms._encode

    def counted(self, texts, side, parts, what):
        found.extend(texts[row] for part in parts for row in part if side == "document")
        return done(self, texts, side, parts, what)

    monkeypatch.setattr(Terms, "_encode", counted)
    return found


def searched(folder, cache, texts=TEXTS, **options):
    made = Latent(str(folder), cache=cache, idf="lucene", **options)
    made.index(Corpus([f"d{i}" for i in range(len(texts))], [""] * len(texts), list(texts)))
    ranking = made.search(["a", "b"], QUERIES, 6)
    return ranking.rows.tolist(), ranking.scores, made


def kept(tmp_path):
    return Cache(folder=str(tmp_path))


def files(tmp_path):
    return sorted(tmp_path.glob("*/segment.*.safetensors"))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_segments_rank_as_one_index(folder, tmp_path, monkeypatch, size, where):
    wanted, scores, one = searched(folder, Cache(use=False))
    monkeypatch.setattr(segments, "SIZE", size)
    cache = Cache(use=False) if where == "memory" else kept(tmp_path)
    found, same, several = searched(folder, cache)
    assert found == wanted
    np.testing.assert_allclose(same, scores, rtol=1e-6)
    a, b = one.documents(), several.documents()
    assert a.starts.tolist() == b.starts.tolist() and a.rows.tolist() == b.rows.tolist()
    np.testing.assert_allclose(a.values, b.values, rtol=1e-6)


def test_a_collection_that_has_grown_keeps_its_segments(folder, tmp_path, encoded):
    searched(folder, kept(tmp_path), TEXTS[:5])
    before = files(tmp_path)
    assert len(before) == 1 and not list(tmp_path.glob("*/0*.safetensors"))
    encoded.clear()
    found, scores, _ = searched(folder, kept(tmp_path))
    assert sorted(encoded) == sorted(TEXTS[5:])
    assert len(files(tmp_path)) == 2 and set(before) < set(files(tmp_path))
    encoded.clear()
    again, _, _ = searched(folder, kept(tmp_path))
    assert not encoded and again == found
    wanted, exact, _ = searched(folder, Cache(use=False))
    assert found == wanted
    np.testing.assert_allclose(scores, exact, rtol=1e-6)


def test_a_text_that_has_changed_is_encoded_again(folder, tmp_path, encoded):
    searched(folder, kept(tmp_path), TEXTS[:5])
    encoded.clear()
    found, _, _ = searched(folder, kept(tmp_path), ["green apples", *TEXTS[1:5]])
    assert len(encoded) == 5 and found[0][0] == 0


@pytest.mark.parametrize("harm", ["changed", "short", "cut off"])
def test_a_damaged_segment_is_made_anew(folder, tmp_path, encoded, caplog, harm):
    wanted, _, _ = searched(folder, kept(tmp_path))
    (path,) = files(tmp_path)
    data = path.read_bytes()
    if harm == "changed":
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    elif harm == "short":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.unlink()
        path.with_name(f".{path.name}.1.part").write_bytes(data[: len(data) // 2])
    encoded.clear()
    found, _, _ = searched(folder, kept(tmp_path))
    assert len(encoded) == len(TEXTS) and found == wanted
    assert files(tmp_path) == [path] and path.read_bytes() == data
    assert not list(tmp_path.glob("*/.segment*"))
    assert ("damaged, made again" in caplog.text) == (harm != "cut off")


def test_a_run_killed_before_its_segment_was_written_goes_on(
    folder, tmp_path, encoded, monkeypatch
):
    def killed(self, place):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Segment, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            searched(folder, kept(tmp_path))
    assert not files(tmp_path) and list(tmp_path.glob("*/0*.safetensors"))
    encoded.clear()
    found, _, _ = searched(folder, kept(tmp_path))
    assert not encoded and len(files(tmp_path)) == 1
    assert found == searched(folder, Cache(use=False))[0]


def test_a_run_that_makes_the_same_segment_is_waited_for(folder, tmp_path, encoded):
    """Of two at once one encodes; the other finds what it made, and misses no shard of its own."""
    wanted, _, _ = searched(folder, kept(tmp_path))
    (path,) = files(tmp_path)
    data = path.read_bytes()
    path.unlink()
    encoded.clear()
    code = (
        "import sys; from pathlib import Path; from trivet.core.lock import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path.with_name(".making"))]
    with (
        subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "held\n"
        made = pool.submit(searched, folder, kept(tmp_path))
        with pytest.raises(TimeoutError):
            made.result(timeout=0.5)
        path.write_bytes(data)
        other.stdin.close()
        found, _, _ = made.result(timeout=60)
    assert found == wanted and not encoded


def test_without_room_on_the_disk_a_segment_stays_in_memory(folder, tmp_path, monkeypatch, caplog):
    def full(self, place):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Segment, "save", full)
    found, _, _ = searched(folder, kept(tmp_path))
    assert "memory only" in caplog.text and found == searched(folder, Cache(use=False))[0]


def test_what_is_saved_is_mapped_and_the_same(tmp_path):
    rng = np.random.default_rng(0)
    matrix = rng.random((9, 14)).astype(np.float32) * (rng.random((9, 14)) < 0.3)
    bags = [
        torch.tensor(np.stack([row.nonzero()[0], row[row > 0]], 1), dtype=torch.float32)
        for row in matrix
    ]
    by = torch.from_numpy(rng.permutation(9))
    segment = Segment.of(Vectors([Shard(by, Ragged.of([bags[i] for i in by]), 2)]), 9, 14)
    found = Segment.open(segment.save(tmp_path))
    assert (found.documents, found.truncated) == (9, 2)
    assert isinstance(found.postings.rows.base, mmap.mmap)
    for term in range(14):
        rows, values = found.postings[term]
        assert rows.tolist() == matrix[:, term].nonzero()[0].tolist()
        assert values.tolist() == matrix[rows, term].tolist()


def test_documents_without_any_term_make_a_segment(tmp_path):
    bags = Ragged.of([torch.empty(0, 2)] * 3)
    segment = Segment.of(Vectors([Shard(torch.arange(3), bags, 0)]), 3, 14)
    found = Segment.open(segment.save(tmp_path))
    assert found.documents == 3 and len(found.postings.rows) == 0
    asked = [(np.array([2]), np.ones(1, np.float32))]
    assert (best_of_postings(found.postings, asked, 3, 3, np.arange(3))[0] == -1).all()
