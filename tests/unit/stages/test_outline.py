"""The recipe on paper: every source, every value, sums that add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from trivet.core.errors import DataError
from trivet.data.columns import Columns
from trivet.data.mixture import Family, Mixture
from trivet.data.sources import Source
from trivet.stages.outline import outline
from trivet.stages.plan import Step
from trivet.training.settings import Fit

PAIRS = Columns(query="q", positive="p")
FIT = Fit(batch=100, precision="fp32")


def hub(name, **fields):
    return Source(name, columns=PAIRS, hub="some/rows", revision="1" * 40, **fields)


@dataclass
class Inner:
    rate: float = 0.25
    marks: list[int] = field(default_factory=lambda: [1, 2])
    nothing: str | None = None


@dataclass
class Planned:
    """A stage that no recipe has."""

    version: ClassVar[int] = 1
    data: Mixture | None = None
    fit: Fit | None = None
    texts: list[Source] = field(default_factory=list)
    inner: dict[str, Inner] = field(default_factory=lambda: {"a": Inner(), "b": Inner(0.5)})
    prompt: str = "query: "
    seed: int = 3


def lines(action="run", **fields):
    return [line.strip() for line in outline([Step("x", Planned(**fields), "", action, "", None)])]


def end(mixture, **fit):
    """The sums below the sources."""
    found = lines(data=mixture, fit=Fit(**({"batch": 100, "precision": "fp32"} | fit)))
    return [line for line in found if line.startswith(("rows", "steps", "family", "left out"))]


def test_every_value_is_shown_at_its_path_whatever_the_stage():
    found = [" ".join(line.split()) for line in lines()]
    for expected in ("inner.a.rate 0.25", "inner.b.rate 0.5", "inner.a.marks [1, 2]", "seed 3",
                     "inner.b.nothing null", 'prompt "query: "', "fit null"):  # fmt: skip
        assert expected in found


def test_what_is_skipped_is_not_shown():
    assert lines("skip") == []


def test_every_source_is_shown_once_with_all_that_names_its_rows():
    one = hub("one", subset="en", split="dev", rows=1000, share=0.25, prompts={"query": "q: "})
    two = Source("two", columns=PAIRS, path="rows.jsonl", limit=7, in_domain=True)
    found = lines(data=Mixture([two], families={"f": Family([one])}), texts=[hub("three")])
    first, second, third = [
        line for line in found if line.split()[:1] in (["one"], ["two"], ["three"])
    ]
    assert f"some/rows, en at {'1' * 40}, dev" in first
    assert "1,000 rows x 0.25 = 250" in first
    assert '{"query": "q", "positive": "p"}' in first and '{"query": "q: "}' in first
    assert "rows.jsonl, train" in second and "rows not counted, the first 7, in-domain" in second
    assert second.endswith("the model's prompts")
    assert "some/rows at" in third and found.index(third) > found.index("texts, in order:")


def test_where_the_texts_of_ids_stand_is_shown_below_the_source_and_not_counted():
    texts = Source("passages", Columns(id="i", text="t"), hub="some/rows", subset="documents")
    found = lines(data=Mixture([hub("scored", rows=250, document_texts=texts)]), fit=FIT)
    at = next(i for i, line in enumerate(found) if line.startswith("scored "))
    assert found[at + 1].startswith("> passages") and "some/rows, documents at" in found[at + 1]
    assert "found by id" in found[at + 1] and '{"text": "t", "id": "i"}' in found[at + 1]
    assert "rows: 250" in found


def test_steps_are_whole_batches_of_each_source():
    mixture = Mixture([hub("a", rows=250), hub("b", rows=1000, share=0.39)])  # 2 and 3
    assert end(mixture) == ["rows: 640", "steps: 5 of 100 rows"]
    assert end(Mixture(mixture.sources, epochs=3))[-1] == "steps: 15 of 100 rows, 3 epochs"
    assert end(mixture, accumulate=2)[-1] == "steps: 2 of 200 rows"
    assert end(mixture, steps=4)[-1] == "steps: 4 of 100 rows"


def test_a_family_s_published_rows_stand_for_sources_that_nobody_counted():
    families = {
        "known": Family([hub("a", rows=250)], rows=240),
        "partly": Family([hub("b", rows=300), hub("c")], rows=550),
        "unknown": Family(rows=90),
    }
    assert end(Mixture(families=families)) == [
        "family known: 240 rows published, 250 here in 1 sources",
        "family partly: 550 rows published, 300 counted here in 2 sources, the rest taken as "
        "published",
        "family unknown: 90 rows published, 0 here in 0 sources",
        "rows: about 800 of 880 published",
        "steps: about 7 of 100 rows",  # 2 + 3 + 2
    ]


@pytest.mark.parametrize("skip", [True, False])
def test_what_has_no_batch_is_named_where_it_is_left_out(skip):
    mixture = Mixture([hub("a", rows=250), hub("tiny", rows=99)], skip_small=skip)
    assert ("left out, for less than one batch: tiny" in end(mixture)) is skip


def test_sums_are_not_guessed():
    said = "rows and steps: known when the sources have been read"
    assert end(Mixture([hub("a", rows=250), hub("b")])) == [said]
    bounded = Mixture([hub("a", rows=250), hub("b", limit=40)])
    assert end(bounded) == [f"{said}; at most 290 rows"]


def test_what_makes_a_file_is_shown_and_told_where_it_is_missing(tmp_path):
    command = "trivet mine data=pairs --out mined"
    source = Source("mined", PAIRS, path=str(tmp_path / "mined"), made_by=command)
    assert f"mined is made by: {command}" in lines(data=Mixture([source]))
    with pytest.raises(DataError, match=f"mined: no such file or folder. Make it: {command}"):
        source.fingerprint()
