"""Make the engines one of lm-eval's models, under the name ``spanmix``."""

from __future__ import annotations

from pathlib import Path

from spanmix.errors import InputError
from spanmix.evaluate.lm_eval.answers import EngineAnswers

TASKS = Path(__file__).parent / "tasks"
"""Where the descriptions of our tasks are, for lm-eval's ``--include_path``."""

MODEL_NAME = "spanmix"


def register() -> None:
    """Tell lm-eval of the model; a second call changes nothing.

    Raises:
        InputError: lm-eval is not installed.
    """
    try:
        # Importing its own models first: lm-eval does so only while its list is empty.
        import lm_eval.models  # noqa: F401
        from lm_eval.api.model import LM
        from lm_eval.api.registry import model_registry, register_model
    except ImportError as error:
        raise InputError(
            f"lm-eval cannot be imported ({error}); install it with `pip install lm-eval==0.4.13`"
        ) from None
    if MODEL_NAME not in model_registry:
        register_model(MODEL_NAME)(type("SpanmixLM", (EngineAnswers, LM), {}))


def with_tasks(arguments: list[str]) -> list[str]:
    """Add our tasks to the arguments of a run that names no other folder of tasks.

    >>> with_tasks(["run", "--tasks", "piqa"])[:-1], with_tasks(["ls"]), with_tasks(["--include_path=a", "b"])
    (['run', '--tasks', 'piqa', '--include_path'], ['ls'], ['--include_path=a', 'b'])
    """
    # Without a verb lm-eval takes "run".
    is_run = arguments[:1] == ["run"] or (len(arguments) > 1 and arguments[0].startswith("-"))
    if not is_run or any(argument.partition("=")[0] == "--include_path" for argument in arguments):
        return arguments
    return [*arguments, "--include_path", str(TASKS)]
