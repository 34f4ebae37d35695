import signal

import pytest

from trivet.core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    Interrupted,
    TrivetError,
    nearest,
)


@pytest.mark.parametrize("kind", [TrivetError, ConfigError, DataError, ArtifactError])
def test_an_error_is_one_line_with_where_what_and_fix(kind):
    error = kind("it is\n  broken", where="a:3", fix="Mend\nit")
    assert str(error) == "a:3: it is broken. Mend it"
    assert isinstance(error, TrivetError) and error.exit_code == 2


@pytest.mark.parametrize(
    "parts, line",
    [({}, "x"), ({"where": "a"}, "a: x"), ({"fix": "Go"}, "x. Go")],
)
def test_a_part_that_is_not_given_leaves_no_trace(parts, line):
    assert str(TrivetError("x", **parts)) == line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_as_its_signal_would(number):
    error = Interrupted("stopped", signal=number, fix="Run it again")
    assert error.exit_code == 128 + number
    assert isinstance(error, TrivetError) and str(error) == "stopped. Run it again"


def test_a_mistyped_name_gets_the_nearest_and_a_strange_one_all():
    names = ["steps", "rate", "batch"]
    assert nearest("step", names) == "Did you mean steps?"
    assert nearest("zzz", iter(names)) == "There is: batch, rate, steps"
    assert nearest("zzz", []) == "There is none"
