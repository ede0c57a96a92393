"""Verify an HTTP endpoint: does it answer, hear the suffix, stop, and count log-probabilities rightly?

Only fixed texts are sent, and what comes back is compared, never run.
"""

from __future__ import annotations

from collections.abc import Callable

from spanmix.generate.completions_client import Choice, Endpoint, RefusedError
from spanmix.interchange.verify.logprobs import check_batch_of, check_echo, check_ids_echo, check_loss_of
from spanmix.interchange.verify.result import Check, Verification, cannot_tell, ok, wrong
from spanmix.text.tokenizer_training import EOM, EOT, SEP, mask_name

_SUFFIX, _STOP, _LEAKS, _ENDS = "suffix", "stop strings", "controls in answers", "end of a text"
_TEXT = "controls in a text"

_MASK = mask_name(1)
_INFILLS = (
    ("def add(a, b):\n    total = ", "\n    return total\n"),
    ("import ", "\n\nprint(json.dumps({'a': 1}))\n"),
    (
        "class Box:\n    def __init__(self, width):\n",
        "\n\n    def get_depth(self):\n        return self.depth\n",
    ),
)
_COMMENTS = (
    "# one\na = 1\n\n# two\nb = 2\n\n# three\nc = 3\n\n",
    "x = 1  # first\ny = 2  # second\nz = 3  ",
    '"""one"""\n"""two"""\n"""three"""\n',
)
_BY_HAND = f"prefix{_MASK}suffix{EOT}{SEP}{_MASK}"
_NUM_TOKENS = 32
_MOST_CHARACTERS = 1000
"""Of an answer that are looked at for a stop string; a server may send millions."""
_LEAST_TOKENS = 4
"""Of a text that holds a control among other things, and one more that was generated."""


def verify_endpoint(endpoint: Endpoint, progress: Callable[[str], None] = lambda stage: None) -> Verification:
    """Verify a server.

    Args:
        endpoint: that answers.
        progress: is told what is asked now.

    Raises:
        SpanmixError: it stopped answering, or wants another key.
    """
    checks: list[Check] = []
    answers: list[Choice] = []
    asked: list[tuple[str, Callable[[], Check]]] = [
        (_SUFFIX, lambda: _check_suffix(endpoint, answers)),
        (_STOP, lambda: _check_stop(endpoint, answers)),
        (_ENDS, lambda: _check_ends(endpoint, answers)),
        (_LEAKS, lambda: _check_leaks(endpoint, answers)),
        ("echo with logprobs", lambda: check_echo(endpoint)),
        ("echo of token ids", lambda: check_ids_echo(endpoint)),
        ("loss on code", lambda: check_loss_of(endpoint)),
        ("left padding", lambda: check_batch_of(endpoint)),
        (_TEXT, lambda: _check_text(endpoint, checks[0].result == "ok")),
    ]
    for name, check in asked:
        progress(name)
        try:
            checks.append(check())
        except RefusedError as error:
            checks.append(cannot_tell(name, f"the server refused: {error}"))
    return Verification(endpoint.url, f"endpoint, model {endpoint.model}", tuple(checks))


def _ask(endpoint: Endpoint, prompt: str, answers: list[Choice], **fields: object) -> Choice:
    """Ask one question; keep the answer for the look at what leaks."""
    (answer,) = endpoint.complete(prompt, **{"max_tokens": _NUM_TOKENS, **fields})
    answers.append(answer)
    return answer


def _check_suffix(endpoint: Endpoint, answers: list[Choice]) -> Check:
    remedy = (
        "vllm serve FOLDER --tokenizer-mode spanmix, which takes suffix; or put the prompt together by hand, "
        f"{_BY_HAND}, and end at {EOM}"
    )
    changed, longer, unknown = 0, 0, 0
    for prefix, suffix in _INFILLS:
        plain = _ask(endpoint, prefix, answers)
        try:
            filled = _ask(endpoint, prefix, answers, suffix=suffix)
        except RefusedError as error:
            return wrong(_SUFFIX, f"the server refuses suffix: {error}", remedy)
        again = _ask(endpoint, prefix, answers)
        longer += (filled.prompt_tokens or 0) > (plain.prompt_tokens or 0)
        if plain.text == again.text:
            changed += filled.text != plain.text
        else:
            unknown += 1
    numbers = {"asked": len(_INFILLS), "changed": changed, "longer_prompts": longer}
    if changed or longer:
        detail = (
            f"{changed} of {len(_INFILLS)} answers are others with a suffix, and {longer} prompts are longer"
        )
        return ok(_SUFFIX, detail, **numbers)
    if unknown:
        return cannot_tell(_SUFFIX, "the same greedy request is answered in several ways", **numbers)
    detail = f"all {len(_INFILLS)} answers are the same with a suffix and without: it is ignored"
    return wrong(_SUFFIX, detail, remedy, **numbers)


def _check_stop(endpoint: Endpoint, answers: list[Choice]) -> Check:
    remedy = "cut the answers where you ask, or use a server that ends at stop strings and leaves them out"
    for prompt, _ in _INFILLS:
        text = _ask(endpoint, prompt, answers).text[:_MOST_CHARACTERS]
        # The first three characters, from the middle on, that were not seen before.
        places = [i for i in range(len(text) // 3, len(text) - 2) if text.find(text[i : i + 3]) == i > 0]
        if not places:
            continue
        stop = text[places[0] : places[0] + 3]
        stopped = _ask(endpoint, prompt, answers, stop=[stop])
        if stopped.text == text[: places[0]]:
            return ok(_STOP, "an answer ends in front of its stop string", reason=stopped.finish_reason)
        if stop in stopped.text:
            return wrong(_STOP, f"an answer that was to stop at {stop!r} holds it: {stopped.text!r}", remedy)
        return cannot_tell(_STOP, "the same greedy request is answered in several ways")
    return cannot_tell(_STOP, "the answers are too short to try it")


def _check_ends(endpoint: Endpoint, answers: list[Choice]) -> Check:
    """Ask for texts that go on with ``#`` or ``"``, which CodeGen2's config names as end and begin."""
    said, stopped = 0, 0
    for prompt in _COMMENTS:
        answer = _ask(endpoint, prompt, answers)
        said += any(mark in answer.text for mark in '#"')
        stopped += answer.finish_reason == "stop" and not answer.text.strip()
    numbers = {"asked": len(_COMMENTS), "went on": said, "ended": stopped}
    if stopped >= 2 and not said:
        detail = (
            f"{stopped} of {len(_COMMENTS)} texts that go on with # or a quote end in front of it: the "
            "server ends at ids 1 or 2, as CodeGen2's config says, and not at <|endoftext|>"
        )
        return wrong(_ENDS, detail, "spanmix convert ORIGINAL DEST --to native, and serve DEST", **numbers)
    if said:
        return ok(_ENDS, f"{said} of {len(_COMMENTS)} texts go on through # or a quote", **numbers)
    return cannot_tell(_ENDS, "no answer had a # or a quote, and none ended in front of one", **numbers)


def _check_leaks(endpoint: Endpoint, answers: list[Choice]) -> Check:
    """Look for control strings in all answers so far, and in that to an infill prompt made by hand."""
    _ask(endpoint, f"def add(a, b):\n    return {_MASK}\n{EOT}{SEP}{_MASK}", answers)
    found = sorted({name for name in (EOM, EOT, SEP, "<mask_") if any(name in a.text for a in answers)})
    if found:
        detail = (
            f"answers hold {' and '.join(found)}: generation does not end there, or specials are not left out"
        )
        remedy = f"spanmix convert ORIGINAL DEST --to native, and serve DEST; or ask with stop: [{EOM!r}]"
        return wrong(_LEAKS, detail, remedy)
    return ok(_LEAKS, f"none in {len(answers)} answers", answers=len(answers))


def _check_text(endpoint: Endpoint, hears_suffix: bool) -> Check:
    """See whether a text that holds a control's name becomes the control."""
    (answer,) = endpoint.complete(f"x = '{_MASK}'", max_tokens=1, echo=True, logprobs=1)
    tokens = answer.logprobs.get("tokens")
    if not isinstance(tokens, list) or len(tokens) < _LEAST_TOKENS:
        return cannot_tell(_TEXT, "the server does not say which tokens a prompt became")
    if _MASK not in tokens:
        return ok(_TEXT, f"{_MASK!r} in a prompt stays text")
    detail = f"{_MASK!r} in a prompt becomes the control of that name"
    if not hears_suffix:
        return cannot_tell(
            _TEXT, f"{detail}; where suffix is not heard, that is also how an infill is asked for"
        )
    return wrong(
        _TEXT, detail, "send prompts as token ids, which `spanmix.text.tokenizer.Tokenizer.encode` makes"
    )
