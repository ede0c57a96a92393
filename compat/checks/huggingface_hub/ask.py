"""ask.py URL MODEL: what stands in a gap, by text-generation-inference's routes and by Ollama's."""

from __future__ import annotations

import sys
from importlib.metadata import version

import ollama
from huggingface_hub import InferenceClient
from huggingface_hub.errors import ValidationError
from own_python import tell
from report import CheckFailedError, expect

URL, MODEL = sys.argv[1:]
PREFIX, SUFFIX = "def f(x):\n    y = ", "\n    return y\n"
SENTINELS = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
NUM_TOKENS = 24
HUB, OLLAMA = InferenceClient(base_url=URL), ollama.Client(host=URL)
OPTIONS = {"temperature": 0, "num_predict": NUM_TOKENS}


def generates() -> None:
    """text_generation(): text, details, return_full_text and stop"""
    text = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS)
    told = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS, details=True)
    expect("text with details", text, told.generated_text)
    expect("generated_tokens", True, 0 < told.details.generated_tokens <= NUM_TOKENS)
    full = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS, return_full_text=True)
    expect("return_full_text", SENTINELS + text, full)
    mark = text[4:7]
    stopped = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS, stop=[mark])
    expect("text with stop", text[: text.index(mark)], stopped)


def generates_a_stream() -> None:
    """text_generation(stream=True): the same text token by token, with details and without"""
    whole = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS)
    parts = list(HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS, stream=True))
    expect("streamed text", whole, "".join(parts))
    events = list(HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS, stream=True, details=True))
    expect("last generated_text", whole, events[-1].generated_text)
    expect("generated_tokens", len(events), events[-1].details.generated_tokens)


def is_refused() -> None:
    """a prompt that is too long is a ValidationError that says so"""
    try:
        HUB.text_generation("x = 1\n" * 5000, max_new_tokens=NUM_TOKENS)
    except ValidationError as error:
        expect("a message about the length", True, "maximum context length" in str(error))
        return
    raise CheckFailedError("a prompt of 5,000 lines", "a ValidationError", "an answer")


def inserts() -> None:
    """ollama.Client.generate() with suffix, whole and streamed: the text that InferenceClient gets"""
    wanted = HUB.text_generation(SENTINELS, max_new_tokens=NUM_TOKENS)
    whole = OLLAMA.generate(MODEL, PREFIX, suffix=SUFFIX, options=OPTIONS)
    expect("response", wanted, whole.response)
    expect("done", (True, True), (whole.done, 0 < whole.eval_count <= NUM_TOKENS))
    parts = list(OLLAMA.generate(MODEL, PREFIX, suffix=SUFFIX, options=OPTIONS, stream=True))
    expect("streamed response", wanted, "".join(part.response for part in parts))
    expect("last part", (True, whole.eval_count), (parts[-1].done, parts[-1].eval_count))


def names_the_model() -> None:
    """ollama.Client.list(), show() and ps() tell of the model, and that it can insert"""
    for listed in (OLLAMA.list(), OLLAMA.ps()):
        expect("models", [MODEL], [one.model for one in listed.models])
    expect("capabilities", True, "insert" in OLLAMA.show(MODEL).capabilities)


CHECKS = [generates, generates_a_stream, is_refused, inserts, names_the_model]
for one in CHECKS:
    one()
versions = f"{version('huggingface_hub')}, ollama {version('ollama')}"
tell("huggingface_hub", versions, [str(one.__doc__) for one in CHECKS])
