"""Engines and files of which every right answer is known."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from spanmix.generate.engine import EngineInfo, Score, TokenEvent
from spanmix.types import ControlIds

VOCAB_SIZE = 300


class ByteTokenizer:
    """One token a byte; controls behind them."""

    control = ControlIds(eot=256, sep=257, eom=258, pad=259, masks=(260, 261))
    vocab_size = VOCAB_SIZE
    suppressed_ids = frozenset({259})
    end_ids = frozenset({256})
    token_bytes = [bytes([i]) for i in range(256)] + [b""] * (VOCAB_SIZE - 256)

    def encode(self, text):
        return list(text.encode("utf-8"))

    encode_inside = encode

    def decode_bytes(self, ids):
        return b"".join(self.token_bytes[i] for i in ids)


@dataclass
class Files:
    """Held-out files in memory."""

    name: str
    texts: list[str]

    @property
    def num_documents(self):
        return len(self.texts)

    def tokens(self, i):
        return np.array(ByteTokenizer().encode(self.texts[i]), dtype=np.int32)

    def text(self, i):
        return self.texts[i]

    def path(self, i):
        return f"{self.name}/{i}.py"


@dataclass
class FakeEngine:
    """Gives tokens the probability `probability(context, token)` and writes `answer(prompt)`."""

    context_tokens: int = 64
    probability: object = lambda context, token: 0.5
    answer: object = lambda prompt: []
    scored: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def __post_init__(self):
        self.running = {}
        self.submitted = 0

    @property
    def info(self):
        return EngineInfo(self.context_tokens, VOCAB_SIZE, "fp32", frozenset({"seed"}))

    def score(self, requests):
        scores = []
        for request in requests:
            context, targets = list(request.context_ids), list(request.target_ids)
            assert context and targets
            assert len(context) + len(targets) <= self.context_tokens
            self.scored.append((tuple(context), tuple(targets)))
            logprobs = [
                math.log(self.probability(context + targets[:t], token)) for t, token in enumerate(targets)
            ]
            scores.append(Score(logprobs, [value > math.log(0.4) for value in logprobs]))
        return scores

    def submit(self, request):
        assert len(request.prompt_ids) + request.max_tokens <= self.context_tokens
        self.asked.append(request)
        self.submitted += 1
        self.running[self.submitted] = (request, list(self.answer(list(request.prompt_ids))))
        return self.submitted

    def step(self):
        events = []
        for index, (request, left) in list(self.running.items()):
            left_over = request.max_tokens - 1
            token = left.pop(0)
            assert token not in request.suppress_ids
            reason = "stop" if token in request.stop_ids else "length" if left_over == 0 else None
            events.append(TokenEvent(index, token, 0.0, (), reason))
            if reason:
                del self.running[index]
            else:
                self.running[index] = (replace(request, max_tokens=left_over), left)
        return events

    def cancel(self, request_id):
        self.running.pop(request_id, None)


@pytest.fixture
def tokenizer():
    return ByteTokenizer()


@pytest.fixture
def make_files():
    return Files


@pytest.fixture
def make_engine():
    return FakeEngine
