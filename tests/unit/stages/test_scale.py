import dataclasses

import pytest

from trivet.stages.scale import Cluster, Training, project

TRAINING = Training(
    rows=1000, tokens=10, weights=100, parameters=500, dim=4, batch=10, cached=False
)
ONE = Cluster(gpus=1, peak=1000.0, reached=0.5, bandwidth=100.0)


def test_the_parts_are_what_a_hand_reckons():
    found = project(TRAINING, ONE)
    assert found.encoder * 3600 == pytest.approx(1000 * 10 * 100 * 6 / 500)
    assert found.scores * 3600 == pytest.approx(100 * (10 * 10 * 4 * 6) / 500)
    assert found.exchange == 0.0  # nobody to send to
    assert found.hours == found.encoder + found.scores


def test_gradcache_encodes_once_more_and_more_gpus_only_exchange_more():
    cached = project(dataclasses.replace(TRAINING, cached=True), ONE)
    assert cached.encoder == pytest.approx(project(TRAINING, ONE).encoder * 8 / 6)
    four = project(TRAINING, dataclasses.replace(ONE, gpus=4))
    assert four.encoder == pytest.approx(project(TRAINING, ONE).encoder / 4)
    sent = 100 * 0.75 * (2 * 10 * 4 * 4 * 2 + 2 * 500 * 4)
    assert four.exchange * 3600 == pytest.approx(sent / 100)
