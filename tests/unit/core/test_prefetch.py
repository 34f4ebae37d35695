import itertools
import threading

import pytest

from trivet.core.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


@pytest.mark.parametrize("depth", [1, 2, 50])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_everything_comes_once_and_in_order(count, depth):
    assert list(prefetch(range(count), lambda x: x * x, depth)) == [x * x for x in range(count)]
    assert threads() == []


def test_nothing_that_is_prepared_is_taken_for_the_end():
    items = [None, False, 0, [], StopIteration]
    assert list(prefetch(items, lambda x: x)) == items


def test_an_error_in_preparing_is_raised_after_what_came_before_it():
    def prepare(x):
        if x == 3:
            raise KeyError("row 3")
        return x

    found = []
    with pytest.raises(KeyError, match="row 3"):
        for x in prefetch(range(10), prepare):
            found.append(x)
    assert found == [0, 1, 2] and threads() == []


def test_an_error_of_the_source_is_raised_too():
    def source():
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(prefetch(source(), lambda x: x))
    assert threads() == []


def test_the_thread_ends_when_the_consumer_stops():
    stream = prefetch(itertools.count(), lambda x: x)
    assert [next(stream), next(stream)] == [0, 1] and len(threads()) == 1
    stream.close()
    assert threads() == []


def test_no_more_is_prepared_ahead_than_asked():
    prepared = []
    stream = prefetch(itertools.count(), lambda x: prepared.append(x) or x, depth=2)
    for taken in range(1, 20):
        next(stream)
        assert len(prepared) <= taken + 2 + 1  # waiting in the queue, and one in hand
    stream.close()


def test_the_next_one_is_prepared_while_the_consumer_works():
    begun = threading.Event()
    stream = prefetch([0, 1], lambda x: (x == 1 and begun.set()) or x)
    assert next(stream) == 0
    assert begun.wait(timeout=60)
    stream.close()
