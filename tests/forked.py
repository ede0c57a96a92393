"""Run programs in processes that are forked from one which has imported PyTorch and Spanmix already.

A process that trains spends most of a short run importing them. Of a process that a test kills, signals or
asks for its exit code, it matters that it is another one, not that it has imported everything anew.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

IMPORTED = ["spanmix.__main__", "spanmix.evaluate.loop_hooks", "spanmix.train.run", "torch._inductor.config"]
"""What a run imports; the last is what PyTorch's deterministic algorithms do."""


class ForkedPrograms:
    """Starts the process that is forked when it is first needed, and again after a program that did not end.

    Args:
        folder: for what the programs print.
    """

    def __init__(self, folder):
        self.folder = folder
        self.server = None

    def run(self, code, *arguments, **environment):
        """Run a program as ``python -c CODE ARGUMENTS`` does, and wait for its end.

        Args:
            code: the program.
            arguments: for its ``sys.argv``.
            environment: variables that are added to this process's.
        """
        if self.server is None:
            self.server = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        printed = [self.folder / name for name in ("stdout", "stderr")]
        program = {
            "code": code,
            "arguments": [str(argument) for argument in arguments],
            "environment": {**os.environ, **environment},
            "folder": str(Path.cwd()),
            "printed": [str(path) for path in printed],
        }
        answer = ""
        try:
            print(json.dumps(program), file=self.server.stdin, flush=True)
            answer = self.server.stdout.readline()
        finally:
            if not answer:
                self.stop()
        assert answer, "the process that is forked has ended"
        return subprocess.CompletedProcess(
            ["-c", *arguments], int(answer), *(path.read_text() for path in printed)
        )

    def stop(self):
        """End the process that is forked, and a program that still runs."""
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.communicate()
            self.server = None


def next_program():
    """Fork for each line of the standard input, and answer with the exit code; return in the child alone."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


def become(program):
    """Run a program in this process, to the interpreter's own end of it."""
    os.environ.clear()
    os.environ.update(program["environment"])
    os.chdir(program["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(program["printed"], 1):
        Path(path).unlink(missing_ok=True)
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["-c", *program["arguments"]]
    exec(compile(program["code"], "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    for module in IMPORTED:
        importlib.import_module(module)
    become(next_program())
