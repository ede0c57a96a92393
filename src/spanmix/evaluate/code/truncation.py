"""Cut a generated text where an answer ends, by named rules that are stored with the samples.

Different cuts explain most differences between published figures of one model, so a rule has a name, and
samples keep both texts. Every rule looks at what the model wrote, never at the prompt. It is a list of
marks: the text ends before the earliest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.errors import InputError, nearest
from spanmix.evaluate.code.problem import AssertCheck, CodeProblem

AUTO = "auto"
"""The name that stands for the rule which suits a problem; see `rule_for`."""


@dataclass(frozen=True)
class Mark:
    """What ends an answer.

    Args:
        text: the string that is looked for.
        line_start: whether it only counts at the beginning of a line.
        nth: which of its places counts, from 1.
    """

    text: str
    line_start: bool = False
    nth: int = 1

    def find(self, text: str) -> int:
        """Return where it stands, or -1."""
        place, left = -1, self.nth
        while left and (place := text.find(self.text, place + 1)) != -1:
            left -= self._counts(text, place)
        return place

    def may_begin(self, text: str, before: int) -> bool:
        """Whether it could stand somewhere ahead of `before` once more text has come."""
        longest = len(self.text) - 1
        for place in range(max(0, len(text) - longest), min(before, len(text))):
            if self.text.startswith(text[place:]) and self._counts(text, place):
                return True
        return False

    def _counts(self, text: str, place: int) -> bool:
        return not self.line_start or place == 0 or text[place - 1] == "\n"


@dataclass(frozen=True)
class Truncation:
    """A rule: the text ends before the earliest of its marks.

    >>> rule = rule_named("human-eval")
    >>> rule.cut("    return 1\\n\\ndef other():")
    '    return 1\\n'
    >>> rule.is_final("    return 1\\n\\nde"), rule.is_final("    return 1\\n\\ndef")
    (False, True)
    """

    name: str
    marks: tuple[Mark, ...] = ()

    def cut(self, text: str) -> str:
        """Return the answer in a text that a model wrote."""
        return text[: self._place(text)]

    def is_final(self, text: str) -> bool:
        """Whether the answer is cut already, and the same whatever more the model writes."""
        place = self._place(text)
        return place < len(text) and not any(mark.may_begin(text, place) for mark in self.marks)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Those of its marks at which a server may end an answer by itself, as it would be cut there anyway.

        That holds for marks which do not overlap, as none of `RULES` does.
        """
        return tuple(mark.text for mark in self.marks if mark.nth == 1 and not mark.line_start)

    def _place(self, text: str) -> int:
        return min((place for mark in self.marks if (place := mark.find(text)) != -1), default=len(text))


def _strings(*texts: str) -> tuple[Mark, ...]:
    return tuple(Mark(text) for text in texts)


_CODEX = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_EVALPLUS = ("<|endoftext|>", "<|endofmask|>", "</s>", "\nif __name__", "\ndef main(", "\nprint(")
_RULES = (
    # The CodeGen2 paper: an infill ends at <eom>, to measure "the line-agnostic ability to infill and stop".
    Truncation("none"),
    # The model cards of CodeGen and CodeGen2, and `CodeGenTokenizer.truncate` of transformers 5.23.
    Truncation(
        "codegen",
        (
            Mark("\n\n#"),
            Mark("'''", line_start=True),
            Mark("\n\n\n"),
            Mark("print", line_start=True, nth=2),
            Mark("def", line_start=True, nth=2),
        ),
    ),
    # Chen et al., 2021, "Evaluating Large Language Models Trained on Code": how HumanEval was sampled.
    Truncation("human-eval", _strings(*_CODEX)),
    # bigcode-evaluation-harness at 8fc5bae, `tasks/humaneval.py` and `tasks/mbpp.py`.
    Truncation("bigcode-humaneval", _strings(*_CODEX, "\n@", "\n```", "<file_sep>")),
    Truncation("bigcode-mbpp", _strings("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")),
    # EvalPlus at 26d6d00, `provider/utility.py`: its stop strings, and those of models that continue.
    Truncation("evalplus", _strings(*_EVALPLUS, "\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert ")),
    Truncation("evalplus-mbpp", _strings(*_EVALPLUS, '\n"""', "\nassert")),
)
RULES = {rule.name: rule for rule in _RULES}


def rule_named(name: str) -> Truncation:
    """Return the rule of a name; raises `InputError` if there is none."""
    if name not in RULES:
        raise InputError(f"there is no truncation rule {name!r}{nearest(name, [*RULES, AUTO])}")
    return RULES[name]


def rule_for(problem: CodeProblem, name: str = AUTO) -> Truncation:
    """Return the rule by which the answers to a problem are cut.

    Args:
        problem: the problem.
        name: of `RULES`; or `AUTO`, which is ``none`` for an infill, the problem's own stop strings if it has
            some (``multipl-e``), ``bigcode-mbpp`` for MBPP and MBPP+, and else ``codegen``.

    Raises:
        InputError: there is no such rule.
    """
    if name != AUTO:
        return rule_named(name)
    if problem.suffix is not None:
        return RULES["none"]
    if problem.stop:
        return own_stop(problem.stop)
    is_mbpp = isinstance(problem.check, AssertCheck) or problem.task_id.startswith("Mbpp/")
    return RULES["bigcode-mbpp" if is_mbpp else "codegen"]


def own_stop(stop: Sequence[str]) -> Truncation:
    """Return the rule of a problem that names its stop strings, as MultiPL-E's do.

    >>> own_stop(["\\n}"]).cut(" return 1;\\n}\\nint main() {}")
    ' return 1;'
    """
    return Truncation("multipl-e", _strings(*stop))
