"""A repository's tests run on a copy, with what is installed, and what runs beside them gets nowhere."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.grade.isolation import Unsafe
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.repository_tests import Interpreter, RepositoryTests, read_command

RIGHT = "def double(x):\n    return 2 * x\n"
UNITTESTS = """
import unittest
from used import double

class Doubling(unittest.TestCase):
    def test_two(self):
        self.assertEqual(double(2), 4)

    def test_none(self):
        self.assertEqual(double(0), 0)
"""
TESTS = "from used import double\n\ndef test_two():\n    assert double(2) == 4\n"
PYTEST = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -q -x"
UNITTEST = "python -m unittest -q test_used"
EARLY = {
    "exit at once": "import os\nos._exit(0)",
    "exit as Python does": "import sys\nsys.exit(0)",
    "skip all": "import unittest\nraise unittest.SkipTest('all')",
    "skip each": "import unittest\ndef double(x):\n    raise unittest.SkipTest('each')",
    "say that it is done": "import os\nos.write(1, b'\\n0123456789abcdef 2\\n')\nos._exit(0)",
    "exit in the middle": "import os\ndef double(x):\n    os._exit(0)",
    "exit behind a thread": "import os, threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.01), os._exit(0))).start()\ndef double(x): time.sleep(60)",
    "end the group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "end all": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos._exit(0)",
}
HUNGRY = {
    "fork without end": "import os\nwhile True:\n"
    "    try:\n        os.fork()\n    except OSError:\n        pass",
    "threads without end": "import threading, time\nwhile True:\n"
    "    threading.Thread(target=time.sleep, args=(600,)).start()",
    "fill the memory": "held = []\nwhile True:\n    held.append(bytearray(1 << 24))",
    "fill the disk": "import itertools\nfor n in itertools.count():\n"
    "    open(f'{n}.bin', 'wb').write(bytes(1 << 22))",
    "fill the disk with names": "import itertools\nfor n in itertools.count():\n    open(f'/tmp/{n}', 'w')",
    "print without end": "import os\nwhile True:\n    os.write(1, b'x' * 65536)",
    "never end": "import time\nwhile True:\n    time.sleep(1)",
    "never end, and hear nothing": "import signal, time\n"
    "for n in (1, 2, 13, 14, 15, 24):\n    signal.signal(n, signal.SIG_IGN)\nwhile True:\n    pass",
}
# It doubles only if every door is closed, and so passes only then.
ESCAPE = """
import os, socket

def opens(path, mode):
    try:
        with open(path, mode):
            return True
    except OSError:
        return False

def succeeds(action):
    try:
        action()
        return True
    except OSError:
        return False

folders = ["/", "/usr", "/etc", "/dev", "/opt", "/opt/tree", "@HOME@", "@PROJECT@", "@OUT@", "@PREFIX@"]
found = [folder for folder in folders if opens(folder + "/@MARK@", "w")]
found += [path for path in ("@SECRET@", "@CHECKOUT@/used.py", "/etc/shadow") if opens(path, "r")]
found += ["net"] if succeeds(lambda: socket.create_connection(("127.0.0.1", @PORT@), 1)) else []
found += ["kill"] if succeeds(lambda: os.kill(@PID@, 0)) else []
found += ["root"] if os.getuid() == 0 or succeeds(lambda: os.setuid(0)) else []
found += ["chroot"] if succeeds(lambda: os.chroot("/")) else []
assert opens("@MARK@", "w") and opens("/tmp/@MARK@", "w"), "it has a place of its own"

def double(x):
    assert not found, found
    return 2 * x
"""
DAEMON = """
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        time.sleep(600)
    os._exit(0)

def double(x):
    return 2 * x
"""


@pytest.fixture(scope="module")
def python():
    return Interpreter.ask(sys.executable, Path("/nowhere"))


@pytest.fixture
def checkout(tmp_path):
    """Makes a checkout that has some text for what is tested; always the same one."""

    def make(text, tests=UNITTESTS, folder=""):
        (tmp_path / "checkout" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / folder / "used.py").write_text(text)
        (tmp_path / "checkout" / "test_used.py").write_text(tests)
        return tmp_path / "checkout"

    return make


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("nothing_is_left_behind")
@pytest.mark.parametrize("command", [PYTEST, UNITTEST])
def test_right_and_wrong_are_told_apart(isolation, python, checkout, command):
    run = RepositoryTests(python, command, isolation, Limits(250.0))
    folder = checkout(RIGHT)
    before = contents(folder)
    right = run(folder)
    assert (right.result, right.num_passed, right.passed) == ("passed", 2, True)
    assert contents(folder) == before
    wrong = run(checkout("def double(x):\n    return x + 2\n"))
    assert wrong.result.startswith("failed: exit code 1, having printed ... ") and not wrong.passed
    assert "0" in wrong.result and wrong.num_passed == 0
    broken = run(checkout("def double(x:\n"))
    assert broken.result.startswith("failed: exit code") and "SyntaxError" in broken.result


@pytest.mark.usefixtures("nothing_is_left_behind")
@pytest.mark.parametrize(("command", "names"), [(UNITTEST, list(EARLY)), (PYTEST, list(EARLY)[:4])])
def test_an_early_end_passes_nothing(isolation, python, checkout, command, names):
    run = RepositoryTests(python, command, isolation, Limits(250.0))
    results = {name: run(checkout(EARLY[name])) for name in names}
    assert [name for name, outcome in results.items() if outcome.passed or outcome.num_passed] == []
    ended = [name for name, one in results.items() if "they ended before their end" in one.result]
    assert len(ended) >= len(names) // 4, results
    assert results["skip each"].result == "failed: no test was run"


@pytest.mark.usefixtures("nothing_is_left_behind")
def test_hunger_is_bounded(isolation, python, checkout):
    limits = Limits(1.0, memory_bytes=256 << 20, file_bytes=16 << 20, num_processes=24, output_bytes=1 << 22)
    run = RepositoryTests(python, UNITTEST, isolation, limits)
    results = {name: run(checkout(text)).result for name, text in HUNGRY.items()}
    assert [name for name, result in results.items() if result == "passed"] == []
    assert results["never end"] == results["never end, and hear nothing"] == "timed out"
    assert results["print without end"] == "failed: more than 4,194,304 bytes of output"
    assert RepositoryTests(python, UNITTEST, isolation, Limits(250.0))(checkout(RIGHT)).passed


@pytest.mark.usefixtures("nothing_is_left_behind")
def test_nothing_outside_is_reached_and_nobody_stays(isolation, python, checkout, named):
    run = RepositoryTests(python, UNITTEST, isolation, Limits(250.0, num_processes=64))
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = {"PID": os.getpid(), "PORT": server.getsockname()[1], "PREFIX": sys.prefix}
        text = ESCAPE
        for name, value in {**named, **there, "CHECKOUT": checkout(RIGHT)}.items():
            text = text.replace(f"@{name}@", str(value))
        assert "@" not in text
        assert run(checkout(text)).result == "passed"
    assert run(checkout(DAEMON)).result == "passed"


def test_what_is_installed_can_be_imported_and_the_copy_comes_first(isolation, tmp_path, checkout):
    """The environment lies in a folder of its own below /tmp, where a sandbox has another /tmp."""
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
        [packages] = (home / "env" / "lib").glob("python*/site-packages")
        (packages / "helper.py").write_text("FOUR = 4\n")
        (packages / "used.py").write_text("def double(x):\n    return -1\n")
        elsewhere = home / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "far.py").write_text("NONE = 0\n")
        (packages / "own.pth").write_text(f"{elsewhere}\n{checkout(RIGHT, folder='lib')}/lib\n")
        tests = "import unittest, sys, helper, far\nfrom used import double\nimport used\n"
        tests += "class T(unittest.TestCase):\n    def test(self):\n"
        tests += "        self.assertEqual((double(2), double(0)), (helper.FOUR, far.NONE))\n"
        tests += "        self.assertTrue(used.__file__.startswith('/tmp/repository/'), used.__file__)\n"
        tests += f"        self.assertEqual(sys.prefix, {str(home / 'env')!r})\n"
        python = Interpreter.ask(str(home / "env" / "bin" / "python"), tmp_path / "checkout")
        assert str(elsewhere) in python.shown
        assert not any(str(tmp_path / "checkout") in path for path in python.shown)
        run = RepositoryTests(python, UNITTEST, isolation, Limits(250.0))
        assert run(checkout(RIGHT, tests)).result == "passed"
        (tmp_path / "checkout" / "used.py").unlink()
        assert run(checkout(RIGHT, tests, folder="src")).result == "passed"
        assert not run(checkout("def double(x):\n    return 5\n", tests, folder="src")).passed
        in_lib = RepositoryTests(python, f"PYTHONPATH=lib {UNITTEST}", isolation, Limits(250.0))
        assert in_lib(checkout(RIGHT, tests, folder="lib")).result == "passed"
    finally:
        subprocess.run(["rm", "-r", str(home)], check=True)


def test_tests_share_memory_and_locks_among_their_processes(isolation, python, checkout):
    tests = "import multiprocessing, unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
    tests += "        with multiprocessing.get_context('fork').Pool(2) as pool:\n"
    tests += "            self.assertEqual(pool.map(abs, [-1, 2]), [1, 2])\n"
    run = RepositoryTests(python, UNITTEST, isolation, Limits(250.0, num_processes=64))
    assert run(checkout(RIGHT, tests)).result == "passed"


def test_without_isolation_tests_work_on_a_copy_that_is_removed(python, checkout, tmp_path, monkeypatch):
    (tmp_path / "aside").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    run = RepositoryTests(python, UNITTEST, Unsafe(), Limits(250.0))
    folder = checkout(RIGHT + "open('written', 'w').close()\n")
    assert run(folder).result == "passed"
    assert not (folder / "written").exists() and list((tmp_path / "aside").iterdir()) == []
    assert run(checkout("import os\nos._exit(0)")).result.startswith("failed: they ended before")


def test_a_checkout_without_room_is_refused(isolation, python, checkout):
    run = RepositoryTests(python, UNITTEST, isolation, Limits(250.0, file_bytes=1 << 20))
    folder = checkout(RIGHT)
    for n in range(256):
        (folder / f"{n}.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"1,056,768 bytes of files, and a sandbox holds 1,048,576 .*allow more"
    ):
        run(folder)


def test_tests_of_another_kind_are_refused(tmp_path):
    assert read_command("python3 -m unittest")[1:] == ("unittest", [])
    assert read_command("A= B=b=c pytest -k 'a or b'") == ({"A": "", "B": "b=c"}, "pytest", ["-k", "a or b"])
    for command in ("", "make test", "A=1", "python tests.py", "python -m tox", "=1 pytest", "unittest"):
        with pytest.raises(InputError, match="an exit code alone would not do"):
            read_command(command)
    with pytest.raises(InputError, match="is no command line: No closing quotation"):
        read_command("pytest 'a")
    for program in (tmp_path / "none", "/bin/true", "/bin/false"):
        with pytest.raises(InputError, match="is no Python that runs"):
            Interpreter.ask(str(program), tmp_path)
