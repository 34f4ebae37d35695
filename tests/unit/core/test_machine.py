import json

import pytest
import torch

from trivet.core import machine
from trivet.core.errors import ConfigError
from trivet.core.machine import Machine, hardware, precision_reason


@pytest.fixture(params=[False, True], ids=["no gpu", "gpu"])
def gpu(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param)
    return request.param


def test_auto_takes_a_gpu_where_there_is_one(gpu):
    assert Machine().resolve() == ("cuda" if gpu else "cpu")
    assert Machine(device="cpu").resolve() == "cpu"


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(gpu):
    if gpu:
        assert Machine(device="cuda").resolve() == "cuda"
        return
    with pytest.raises(ConfigError) as caught:
        Machine(device="cuda").resolve()
    assert caught.value.where == "machine.device" and caught.value.fix


def test_threads_are_set_where_given_and_else_left_alone():
    before = torch.get_num_threads()
    try:
        Machine(device="cpu", threads=before + 1).resolve()
        assert torch.get_num_threads() == before + 1
        Machine(device="cpu").resolve()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["micro_tokens", "encode_tokens"])
@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_that_holds_nothing_is_refused_by_name(name, budget):
    with pytest.raises(ConfigError) as caught:
        Machine(**{name: budget})
    assert caught.value.where == name
    assert getattr(Machine(**{name: 1}), name) == 1


def test_fewer_than_no_micro_batches_cannot_be_held():
    with pytest.raises(ConfigError) as caught:
        Machine(held_micro_batches=-1)
    assert caught.value.where == "held_micro_batches"
    assert Machine(held_micro_batches=0).held_micro_batches == 0


@pytest.mark.parametrize("units", ["", "AMX"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_reason_names_the_precision_and_warns_of_the_slower_one(monkeypatch, precision, units):
    monkeypatch.setattr(machine, "bf16_units", lambda device: units)
    reason = precision_reason(precision, "cpu")
    assert reason.startswith(f"{precision}, as configured") and "\n" not in reason
    assert ("faster" in reason) == ((precision == "bf16") == (units == ""))
    assert not units or units in reason


def test_the_hardware_is_plain_json_and_complete():
    found = hardware()
    assert json.loads(json.dumps(found)) == found
    assert found["cpu"] and found["cores"] >= 1 and found["memory_gib"] > 0
    assert found["threads"] == torch.get_num_threads()
    assert len(found["gpus"]) == torch.cuda.device_count()
