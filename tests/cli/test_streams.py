"""Whatever the shell does to the three standard streams: results come out as UTF-8, and nothing else does."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys, spanmix.cli.train
def run(args):
    with open('data', 'w') as file:
        assert file.fileno() > 2, 'what a library prints would get into the file'
        print('caf\\u00e9 \\u2603')
        print('a notice', file=sys.stderr)
spanmix.cli.train.run = run
sys.exit(spanmix.cli.main(['train', 'recipe.yaml', '--out', 'x']))
"""
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
RESULT, NOTICE = "café ☃\n".encode(), b"a notice\n"


def shell(folder, redirections: str, *command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python below a shell that redirects its streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, *command],
        capture_output=True,
        cwd=folder,
        env={**BUFFERED, **variables},
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("closed", "out", "err"),
    [
        (">&-", b"", NOTICE),
        ("2>&-", RESULT, b""),
        ("<&-", RESULT, NOTICE),
        ("<&- >&-", b"", NOTICE),
        ("<&- >&- 2>&-", b"", b""),
    ],
)
def test_a_closed_stream_takes_what_is_written_to_it_and_no_other_does(tmp_path, closed, out, err):
    finished = shell(tmp_path, closed, "-c", CODE)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, out, err)


def test_a_closed_stdin_is_not_an_empty_one(tmp_path):
    finished = shell(tmp_path, "<&-", "-m", "spanmix", "complete", "no/such/model", "-")
    assert finished.returncode == 2
    assert finished.stderr == b"spanmix: - is stdin, and stdin is closed; give a file or a pipe\n"


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_results_are_utf8_in_every_locale(tmp_path, variables):
    finished = shell(tmp_path, "", "-c", CODE, **variables)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, RESULT, NOTICE)


def test_arguments_are_utf8_in_every_locale(tmp_path):
    code = "import sys; from spanmix.cli.arguments import text; print(ascii(text(sys.argv[1])))"
    variables = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert shell(tmp_path, "", "-c", code, "café", **variables).stdout == b"'caf\\xe9'\n"


def test_a_full_stream_is_one_paragraph(tmp_path):
    finished = shell(tmp_path, ">/dev/full", "-c", CODE)
    assert finished.returncode == 1
    assert finished.stderr == NOTICE + b"spanmix: No space left on device\n"
    assert shell(tmp_path, "2>/dev/full", "-m", "spanmix", "trian").returncode == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["infill", "--help"]])
def test_help_that_nobody_reads_is_quiet(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(
        [sys.executable, "-m", "spanmix", *arguments],
        stdout=writer,
        env=BUFFERED,
        stderr=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    os.close(writer)
    assert (finished.returncode, finished.stderr) == (0, b"")
