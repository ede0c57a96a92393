"""The process that makes runs for a suite: ``python -m spanmix.lessons.worker``.

It reads a job on each line of its input, and answers in lines: ``progress``, and at its end ``done``,
``stopped`` or ``failed``. SIGTERM lets it end its step and save. When its input ends, the suite's own
process is gone, and it ends at once, wherever it is: a run survives that.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spanmix.errors import SpanmixError, StoppedEarlyError
from spanmix.files import parse_json
from spanmix.train.metrics import Metric

_EVERY_SECONDS = 1.0
_GONE = 1


class _Answers:
    """Writes lines for the suite's process to a stream that nothing else writes to."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._next = 0.0
        self._stage = ""

    def say(self, kind: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"kind": kind, **fields}) + "\n")

    def progress(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._next or stage != self._stage or done >= total:
            self._next, self._stage = now + _EVERY_SECONDS, stage
            self.say("progress", stage=stage, done=done, total=total)

    def report(self, done: int, total: int, metrics: Sequence[Metric]) -> None:
        self.progress("train", done, total)


def main() -> None:
    """Do the jobs that come, one after the other."""
    # Whatever prints to stdout shall not be taken for an answer.
    answers = _Answers(os.dup(1))
    os.dup2(2, 1)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; the suite's process tells us
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(jobs,), daemon=True).start()
    answers.say("ready")
    while line := jobs.get():
        _do(line, answers, lambda: bool(asked))


def _read(jobs: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(_GONE)


def _do(line: str, answers: _Answers, should_stop: Callable[[], bool]) -> None:
    from spanmix.lessons.job import Job
    from spanmix.lessons.make_run import do_job

    @contextmanager
    def stop() -> Iterator[Callable[[], bool]]:
        yield should_stop

    try:
        do_job(parse_json(line, Job, "the job"), stop(), answers.report, answers.progress)
    except StoppedEarlyError as error:
        answers.say("stopped", text=str(error))
    except SpanmixError as error:
        text = ". ".join([str(error), *getattr(error, "__notes__", ())])
        answers.say("failed", text=text, exit_code=error.exit_code)
    except Exception as error:
        answers.say(
            "failed", text=f"{type(error).__name__}: {error}", exit_code=1, trace=traceback.format_exc()
        )
    else:
        answers.say("done")


if __name__ == "__main__":
    main()
