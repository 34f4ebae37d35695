"""What a row says of a retriever that is made of others."""

from __future__ import annotations

import pytest

from trivet.retrieval.pedigree import merged


def part(**facts):
    base = {"model": "m", "model_key": "k", "in_domain": [], "trained_on": [], "precision": "fp32",
            "prompts": {}, "lengths": {}}  # fmt: skip
    return base | facts


@pytest.mark.parametrize(("seeds", "wanted"), [((3, None), 3), ((3, 3), 3), ((3, 4), None),
                                               ((None, None), None)])  # fmt: skip
def test_the_whole_has_the_seed_of_its_parts_where_they_have_one(seeds, wanted):
    one, other = (part(train_seed=seed) for seed in seeds)
    words = part(model_key=None, kind="bm25")
    found = merged({"bm25": words, "dense": one, "latent": other})
    assert found.get("train_seed") == wanted
