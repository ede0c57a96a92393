"""The command line: find the verb, run it, and turn what went wrong into one paragraph and an exit code.

Each verb is a file of this package with ``add`` (its arguments) and ``run`` (what it does). Nothing here
imports torch before a verb runs, so that ``spanmix --help`` answers at once.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from spanmix.cli.parser import parse
from spanmix.cli.terminal import drop_unwritten, paragraph, prepare_streams
from spanmix.errors import SpanmixError

FAILED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
"""What a shell shows for a program ended by SIGINT, and by SIGPIPE."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``spanmix`` with these arguments (the process's own if not given); return the exit code.

    0: done. 1: asked for correctly, and failed. 2: the request cannot be carried out as it stands (a flag,
    a file or a field), and nothing was written. 3: stopped early and saved; the same command goes on. 130:
    interrupted. 141: nobody reads the output any more.
    """
    prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    # A failure of the parser itself shows its traceback too.
    debug = "--debug" in arguments
    try:
        args = parse(arguments)
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        return _fail(". ".join(["interrupted", *getattr(error, "__notes__", ())]), INTERRUPTED)
    except BrokenPipeError:
        return BROKEN_PIPE  # the reader (`head`, a closed pager) has had enough
    except SpanmixError as error:
        text = ". ".join([str(error), *getattr(error, "__notes__", ())])
        return _fail(text, error.exit_code, debug)
    except OSError as error:
        about = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"{about}{error.strerror or error}", FAILED, debug)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {where.filename}:{where.lineno}: {error}"
        return _fail(f"{what}. This is a fault of Spanmix; --debug shows how it got there", FAILED, debug)
    finally:
        drop_unwritten()
    return 0


def _fail(message: str, exit_code: int, debug: bool = False) -> int:
    """Print one paragraph on stderr, under the traceback if it was asked for."""
    with suppress(OSError):  # nobody reads that either
        if debug:
            traceback.print_exc()
        print(f"spanmix: {paragraph(message)}", file=sys.stderr)
    return exit_code
