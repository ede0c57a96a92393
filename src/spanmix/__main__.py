"""Start the command line, as ``spanmix`` or ``python -m spanmix``."""

from __future__ import annotations

import os
import signal
import sys

from spanmix.cli import INTERRUPTED, main


def start() -> None:
    """Run the command line and end the process with its exit code.

    One of several processes of a run ends at once, without taking the interpreter down in order: a thread
    of PyTorch's gloo may still be giving back a tensor, and would abort the process (pytorch issue 190489).
    So does one that was interrupted: the interpreter would wait for the thread of a save, whose part is
    cleared away at the next start, and answer Ctrl-C with a traceback.
    """
    try:
        code = main()
    except KeyboardInterrupt:  # once more, while the first was being answered
        code = INTERRUPTED
        print("spanmix: interrupted", file=sys.stderr)
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if code == INTERRUPTED or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    start()
