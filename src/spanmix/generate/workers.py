"""Run jobs that mostly wait on a few threads, which end when there is nothing left to do."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """Runs jobs in the order in which they are given, several at once.

    The threads of `concurrent.futures` keep a process from ending until they are done, and wait for more
    work for as long as it lives. These do neither.

    Args:
        most: most jobs at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._num_threads = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run a job later; the future has its result or error, and can be cancelled until it runs."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, job))
            start = self._num_threads < self._most
            self._num_threads += start
        if start:
            threading.Thread(target=self._work, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._num_threads -= 1
                    return
                future, job = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = job()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, job
