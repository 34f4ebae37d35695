"""A step on several ranks is the step of one."""

import json
from pathlib import Path

import pytest
import torch

WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture(scope="module")
def steps(ranks, tmp_path_factory):
    """What 1, 2 and 3 ranks found."""
    out = tmp_path_factory.mktemp("ranks")
    for world in (1, 2, 3):
        for code, text in ranks(world, [WORKER, out]):
            assert code == 0, text
    return {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("*.json"))}


@pytest.mark.parametrize("loss", ["infonce 0", "infonce 1", "infonce 3", "angle 1", "angle 3",
                                  "late 1", "late 3", "bce 3", "listwise 3", "lambda 3"])
@pytest.mark.parametrize("rank", ["1-0", "2-0", "2-1", "3-0", "3-1", "3-2"])
@pytest.mark.parametrize("cached", [0, 1])
def test_loss_and_gradients_depend_on_neither_ranks_nor_micro_batches(
    steps, rank, loss, cached
):
    wanted = steps["1-0"]["found"][f"{loss} 0"]
    found = steps[rank]["found"][f"{loss} {cached}"]
    assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-6)  # told in 32 bits
    torch.testing.assert_close(
        torch.tensor(found["grads"], dtype=torch.float64),
        torch.tensor(wanted["grads"], dtype=torch.float64),
        rtol=0,
        atol=1e-10,
    )


@pytest.mark.parametrize("rank", ["2-0", "2-1", "3-0", "3-1", "3-2"])
def test_gradients_are_reduced_once_a_step(steps, rank):
    assert steps[rank]["reduces"] == len(steps[rank]["found"])


@pytest.mark.parametrize("rank", ["2-0", "3-0"])
def test_one_rank_that_is_asked_to_stop_stops_all(steps, rank):
    assert all(found["stop"] for found in steps[rank]["found"].values())
    assert not any(found["stop"] for found in steps["1-0"]["found"].values())
