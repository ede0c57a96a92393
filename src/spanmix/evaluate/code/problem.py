"""A programming problem: what a model is given, and what decides whether its answer is right.

The check is text of the benchmark, which is trusted; the answer is not. `spanmix.evaluate.grade` runs the
two in different processes, and only values go from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallCheck:
    """Call ``check(candidate)``, as HumanEval does.

    Args:
        context: text that defines what `test` uses beside the candidate, such as helper functions of the
            prompt. It is the whole reference program.
        test: text that defines ``check``.
        entry_point: name of the function that is the candidate.
    """

    context: str
    test: str
    entry_point: str


@dataclass(frozen=True)
class AssertCheck:
    """Run statements, as MBPP does; names that they do not define are the answer's.

    Args:
        setup: text that is run first.
        statements: such as ``assert f(1) == 2``; each is run by itself.
    """

    setup: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class ReferenceCheck:
    """Call the answer with many inputs, and compare with what a reference program returns, as EvalPlus does.

    Args:
        reference: the whole reference program.
        entry_point: name of the function.
        inputs: the arguments of each call, of builtin types.
        tolerance: largest difference of floats, absolute and relative to the expected one; 0 compares by
            ``==``.
    """

    reference: str
    entry_point: str
    inputs: tuple[tuple[object, ...], ...]
    tolerance: float


@dataclass(frozen=True)
class ExitCheck:
    """Run the answer and the test as one program of another language, as MultiPL-E does.

    The answer shares the process with what judges it; `spanmix.evaluate.grade` says what protects that.

    Args:
        language: name of the language, as MultiPL-E has it, such as ``sh``.
        test: text behind the answer.
    """

    language: str
    test: str


Check = CallCheck | AssertCheck | ReferenceCheck | ExitCheck


@dataclass(frozen=True)
class CodeProblem:
    """One problem.

    Args:
        task_id: its name in the benchmark.
        prompt: what stands in front of the answer.
        suffix: what stands behind it; None if the answer goes on to the end.
        canonical: the benchmark's own answer; empty if it has none, as MultiPL-E.
        check: what decides.
        stop: strings that end an answer, where the benchmark names its own for each problem.
    """

    task_id: str
    prompt: str
    suffix: str | None
    canonical: str
    check: Check
    stop: tuple[str, ...] = ()

    def program(self, answer: str) -> str:
        """Return the text that is run for an answer."""
        return self.prompt + answer + (self.suffix or "")
