"""Batches prepared a step ahead, in a thread, so that the model never waits for the tokenizer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def prefetch(items: Iterable[In], prepare: Callable[[In], Out], depth: int = 2) -> Generator[Out]:
    """Yield prepare(item) in order; an error in the thread is raised where it is waited for."""
    ready: queue.Queue[tuple[Out | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(value: Out | None, error: BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                ready.put((value, error), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(prepare(item), None):
                    return
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopIteration())

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            value, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield value  # pyright: ignore[reportReturnType]
    finally:
        stopped.set()
        thread.join()
