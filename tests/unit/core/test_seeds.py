import random

import numpy as np
import pytest
import torch

from trivet.core.seeds import derive, seed_everything


@pytest.fixture(autouse=True)
def others_draws_untouched():
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def draws():
    return {
        "python": [random.random(), random.gauss(0, 1), random.randrange(10**9)],
        "numpy": [*np.random.rand(3), *np.random.randn(3), np.random.randint(10**9)],
        "torch": torch.cat([torch.rand(3), torch.randn(3), torch.randperm(5).float()]).tolist(),
    }


def test_the_same_seed_gives_the_same_draws_and_another_gives_others():
    found = []
    for seed in (3, 3, 4):
        seed_everything(seed)
        found.append(draws())
    assert found[0] == found[1]
    assert all(found[0][name] != found[2][name] for name in found[0])


@pytest.mark.parametrize("seed", [0, 2**32, 2**63 - 1, derive(0, "a")])
def test_every_derived_seed_can_be_used(seed):
    seed_everything(seed)
    assert draws()


def test_a_derived_seed_differs_by_name_and_order_and_seed():
    names = [(), ("a",), ("b",), ("a", "b"), ("b", "a"), ("a", 1), ("a", 2), ("ab",)]
    seeds = [derive(seed, *name) for seed in (0, 1) for name in names]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_derived_seed_is_the_same_in_every_process():
    assert derive(7, "mixture", 3) == derive(7, "mixture", 3) == derive(7, "mixture", "3")
