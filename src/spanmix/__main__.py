"""Start the command line, as ``spanmix`` or ``python -m spanmix``."""

from __future__ import annotations

import os
import sys

from spanmix.cli import main


def start() -> None:
    """Run the command line and end the process with its exit code.

    One of several processes of a run ends at once, without taking the interpreter down in order: a thread
    of PyTorch's gloo may still be giving back a tensor, and would abort the process (pytorch issue 190489).
    """
    code = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    start()
