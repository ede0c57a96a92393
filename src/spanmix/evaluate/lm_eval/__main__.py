"""``python -m spanmix.evaluate.lm_eval``: lm-eval's own command line, with our model and tasks.

python -m spanmix.evaluate.lm_eval run --model spanmix --model_args model=FOLDER --tasks piqa
"""

from __future__ import annotations

import sys

from spanmix.errors import SpanmixError
from spanmix.evaluate.lm_eval.register import register, with_tasks


def main() -> None:
    """Run lm-eval; what a user can mend is one paragraph, as everywhere in Spanmix."""
    try:
        register()
        from lm_eval.__main__ import cli_evaluate

        sys.argv = [sys.argv[0], *with_tasks(sys.argv[1:])]
        cli_evaluate()
    except SpanmixError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
