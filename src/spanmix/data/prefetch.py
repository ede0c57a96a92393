"""Make batches ahead of time, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any

from spanmix.data.loader import LoaderState
from spanmix.types import Batch


def prefetch(
    batches: Iterator[tuple[Batch, LoaderState]], depth: int
) -> Generator[tuple[Batch, LoaderState], None, None]:
    """Make up to `depth` batches ahead in a thread; the values and their order are unchanged.

    An error in the thread is raised at the place where its batch was due. Close the iterator: that ends the
    thread, which must not be at work when the interpreter ends.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def work() -> None:
        try:
            for item in batches:
                if not _put(ready, item, closed):
                    return
        except BaseException as error:
            _put(ready, error, closed)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()


def _put(ready: queue.Queue[Any], item: Any, closed: threading.Event) -> bool:
    """Put an item unless the reader is gone."""
    while not closed.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
