"""What an answer has in common with the training data is told, and long copies are withheld."""

import json
from urllib.parse import unquote

import httpx
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.generate.engine import CAPABILITIES, EngineInfo, TokenEvent
from spanmix.serve.provenance import Provenance, as_fields, in_words
from spanmix.text.pipeline import prepare
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings
from spanmix.text.trace.matches import FilePlace, Match, Occurrence

ASKED = {"prompt": "def f(x):", "max_tokens": 200}
ANSWER = "    return merge_settings(default_settings, read_settings(path), environment)"


class Saying:
    """An engine that says the same whatever it is asked, one token a step."""

    def __init__(self, tokenizer, text):
        self.info = EngineInfo(2000, tokenizer.vocab_size, "fp32", CAPABILITIES)
        self._ids = [*tokenizer.encode(text), tokenizer.control.eot]
        self._said = {}

    def submit(self, request):
        self._said[len(self._said)] = 0
        return len(self._said) - 1

    def step(self):
        events = []
        for request_id, said in self._said.items():
            if said < len(self._ids):
                self._said[request_id] += 1
                reason = "stop" if said == len(self._ids) - 1 else None
                events.append(TokenEvent(request_id, self._ids[said], -1.0, (), reason))
        return events

    def cancel(self, request_id):
        self._said[request_id] = len(self._ids)


@pytest.fixture(scope="module")
def saying(tokenizer):
    return lambda text=ANSWER: Saying(tokenizer, text)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Of a corpus in one of whose files that stands, behind a line of its own."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "sources" / "sub").mkdir(parents=True)
    (folder / "sources" / "sub" / "gelöst.py").write_text(f"# first\n# second\nvalue = '{ANSWER}'\n" * 2)
    for number in range(6):
        (folder / "sources" / f"{number}.py").write_text(f"number_{number} = {number}\n" * 40)
    sources = (SourceFilesConfig("code", (str(folder / "sources"),)),)
    config = CorpusConfig("", sources, held_out_share=0.1, seed=3)
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=16), folder / "corpus")
    build_index(folder / "corpus", IndexSettings(shortest_bytes=20))
    index = TraceIndex.open(folder / "corpus")
    assert index.longest_match(ANSWER, 20)[0] is not None, (
        "the file that holds it is held out: take another seed"
    )
    return index


def test_the_longest_match_is_told_with_path_and_line(serve, index, saying):
    with serve(saying(), Provenance(index, 20)) as url:
        plain = httpx.post(f"{url}/v1/completions", json=ASKED)
        [choice] = plain.json()["choices"]
        match = choice["spanmix_match"]
        assert choice["text"] == ANSWER and (match["start"], match["end"]) == (0, len(ANSWER))
        assert match["path"].endswith("sub/gelöst.py") and match["line"] == 3 and match["repository"] == ""
        told = plain.headers["x-spanmix-match"]
        assert told.startswith(f'bytes={len(ANSWER.encode())}; path="') and "gelöst" in unquote(told)
        with httpx.stream("POST", f"{url}/v1/completions", json=ASKED | {"stream": True}) as response:
            lines = [line[6:] for line in response.iter_lines() if line and line != "data: [DONE]"]
        assert [json.loads(line)["choices"][0].get("spanmix_match") for line in lines] == [None] * (
            len(lines) - 1
        ) + [match]
    with serve(saying("zz = 3"), Provenance(index, 20)) as url:
        other = httpx.post(f"{url}/v1/completions", json=ASKED)
        assert (
            other.headers["x-spanmix-match"] == "none" and "spanmix_match" not in other.json()["choices"][0]
        )
        infill = {"input_prefix": ASKED["prompt"], "input_suffix": "", "n_predict": 5}
        assert httpx.post(f"{url}/infill", json=infill).headers["x-spanmix-match"] == "none"


def test_the_repository_is_told_where_it_is_known():
    file = FilePlace("src/a b.py", "ümlaut/x; y", "MIT", "python", 3, 0, 60)
    match = Match(0, 60, 0, 60, 1, 60, 60, 2, True, (Occurrence("code", 0, 0, (file,)),))
    told = in_words(match)
    fields = dict(part.split("=", 1) for part in told.split("; "))
    assert told.isascii() and list(fields) == [
        "bytes",
        "repository",
        "path",
        "line",
        "licence",
        "occurrences",
    ]
    assert unquote(fields["repository"]) == '"ümlaut/x; y"' and unquote(fields["path"]) == '"src/a b.py"'
    assert (as_fields(match)["repository"], as_fields(match)["path"]) == ("ümlaut/x; y", "src/a b.py")


@pytest.mark.parametrize("block", [30, 50])
def test_a_copy_that_is_too_long_is_ended_in_front_of_it(serve, index, saying, block):
    with serve(saying(), Provenance(index, 20, block)) as url:
        [choice] = httpx.post(f"{url}/v1/completions", json=ASKED).json()["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert ANSWER.startswith(choice["text"]) and 20 < len(choice["text"].encode()) <= block
        streamed = ""
        with httpx.stream("POST", f"{url}/v1/completions", json=ASKED | {"stream": True}) as response:
            for line in response.iter_lines():
                if line and line != "data: [DONE]":
                    streamed += json.loads(line[6:])["choices"][0]["text"]
        assert streamed == choice["text"]
        [told] = httpx.post(f"{url}/v1/completions", json=ASKED | {"logprobs": 1}).json()["choices"]
        assert told["text"].startswith("".join(told["logprobs"]["tokens"]))  # none of what is withheld


def test_what_the_index_cannot_find_is_refused(index):
    with pytest.raises(InputError, match="--match-bytes 20"):
        Provenance(index, 19)
    with pytest.raises(InputError, match="allow 19"):
        Provenance(index, 20, 18)


def test_without_a_corpus_nothing_is_told(http):
    assert "x-spanmix-match" not in http.post("/v1/completions", json=ASKED).headers
