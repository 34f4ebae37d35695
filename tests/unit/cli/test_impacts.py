"""`trivet impacts` and `trivet export --format latent`, from the words to the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trivet.bench.folder import Folder
from trivet.models.sae import TopK
from trivet.models.sae_lens import save_lens
from trivet.retrieval.cache import Cache
from trivet.retrieval.latent import Latent


@pytest.fixture
def latent(trivet, model):
    """A model of latent terms, made of an encoder and what SAELens saved."""
    sae = TopK(32, 64, 4)
    sae.draw(0)
    Path("lens").mkdir()
    save_lens(sae, Path("lens"), {})
    made = trivet("export", model, "--format", "latent", "--sae", "lens", "--to", "latent")
    assert made[0] == 0, made
    return "latent"


def test_what_is_written_multiplies_to_the_scores_of_eval(trivet, zoo, latent):
    bench = zoo()
    words = ("--bench", bench, "--model", latent)
    status, said, _ = trivet("impacts", *words, "--to", "out", "retriever.idf=lucene")
    assert status == 0 and "4 documents" in said
    documents, queries = (
        {line["id"]: line["vector"] for line in map(json.loads, path.read_text().splitlines())}
        for path in (Path("out/documents.jsonl"), Path("out/queries.jsonl"))
    )
    assert set(documents) == {"a", "b", "c", "d"} and set(queries) == {"q1", "q2"}
    task = Folder(path=bench).load()
    retriever = Latent(latent, idf="lucene", cache=Cache(use=False))
    retriever.index(task.corpus)
    ranking = retriever.search(["q1", "q2"], [task.queries["q1"], task.queries["q2"]], 4)
    for i, name in enumerate(ranking.queries):
        wanted = dict(ranking.of(i))
        assert wanted
        for document, vector in documents.items():
            score = sum(weight * vector.get(term, 0) for term, weight in queries[name].items())
            assert score == pytest.approx(wanted.get(document, 0.0), rel=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "lens"), "--to lens: is there already. Name a new folder"),
        (("--to", "out", "--retriever", "dense"), "has no learned terms. Choose latent or splade"),
    ],
)
def test_a_mistake_is_one_line(trivet, zoo, model, latent, words, said):
    bench = zoo()
    status, _, errors = trivet("impacts", "--bench", bench, "--model", model, *words)
    assert status == 2 and said in errors and "Traceback" not in errors
    assert not Path("out").exists()
