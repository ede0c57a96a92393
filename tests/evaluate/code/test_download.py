"""A published set is fetched whole or not at all, and believed only if it is HumanEval with gaps."""

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code import download
from spanmix.evaluate.code.humaneval import humaneval_problems
from spanmix.evaluate.code.sets import problem_set

FILE = download.PUBLISHED["random-span-light"].file


@contextmanager
def served(status, data):
    """A server that answers everything alike; gives its address and the paths it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


def packed(rows):
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0)


@pytest.fixture(scope="module")
def rows():
    """Rows like those of random-span-light: a part of each solution taken out, an empty line in front."""
    made = []
    for problem in humaneval_problems():
        cut = len(problem.canonical) // 3
        made.append(
            {
                "task_id": f"RandomSpanInfillingLight/{problem.task_id}/1",
                "entry_point": problem.check.entry_point,
                "prompt": "\n" + problem.prompt + problem.canonical[:cut],
                "suffix": problem.canonical[2 * cut :],
                "canonical_solution": problem.canonical[cut : 2 * cut],
                "test": problem.check.test,
            }
        )
    return made


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "spanmix"


def test_a_set_is_fetched_once_and_kept(rows, cache):
    with pytest.raises(InputError, match="--download"):
        problem_set("random-span-light")
    assert not cache.exists()
    with served(200, packed(rows)) as (source, asked):
        problems = download.published_problems("random-span-light", download=True, source=source)
        again = download.published_problems("random-span-light", download=True, source=source)
    assert asked == [f"/{FILE}"] and len(problems) == 164 and again == problems
    kept = problem_set("random-span-light")
    assert kept.problems == tuple(problems) and [path.name for path in cache.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("status", "data", "error", "told"),
    [
        (404, b"", SpanmixError, "answers 404"),
        (200, b"<html>", InputError, FILE),
        (200, b"x" * ((1 << 24) + 1), SpanmixError, "longer than 16,777,216 bytes"),
    ],
)
def test_what_is_not_the_set_is_refused(cache, status, data, error, told):
    with served(status, data) as (source, _), pytest.raises(error, match=told):
        download.published_problems("random-span-light", download=True, source=source)


@pytest.mark.parametrize("change", ["a row less", "another program"])
def test_another_set_of_problems_is_refused(rows, cache, change):
    rows = rows[:-1] if change == "a row less" else [{**rows[0], "suffix": "\n    return 1\n"}, *rows[1:]]
    with served(200, packed(rows)) as (source, _), pytest.raises(InputError, match="published set has 164"):
        download.published_problems("random-span-light", download=True, source=source)


def test_no_server_is_an_error_that_says_where_to_put_the_file(cache):
    with pytest.raises(SpanmixError, match="by hand"):
        download.published_problems("random-span", download=True, source="http://127.0.0.1:9/")
    assert not cache.exists()
