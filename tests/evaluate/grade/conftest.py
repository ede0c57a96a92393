"""The isolations that this machine has, a short way to grade, and a look at what is left behind."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import pytest

from spanmix.evaluate.grade import syscalls
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Namespaces
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.sandbox import with_descendants

ISOLATIONS = {"namespaces": Namespaces()}
if bubblewrap := shutil.which("bwrap"):
    ISOLATIONS["bubblewrap"] = Bubblewrap(bubblewrap, os.geteuid() == 0)
MARK = "spanmix_attack_mark"
HOME, PROJECT = Path.home(), Path(__file__).parents[3]
_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(params=ISOLATIONS)
def isolation(request):
    return ISOLATIONS[request.param]


@pytest.fixture
def verdicts(isolation):
    """Grades a list of tasks; returns the verdicts in the order of the tasks."""

    def run(tasks, seconds=250.0, num_workers=2, **limits):
        found = dict(grade(tasks, num_workers, Limits(seconds=seconds, **limits), isolation))
        assert sorted(found) == list(range(len(tasks)))
        return [found[index] for index in range(len(tasks))]

    return run


@pytest.fixture
def named(tmp_path):
    """What attacks look for, by the name that stands for it between two @: all of it open to everybody."""
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "secret").write_text("secret")
    for path in (tmp_path, tmp_path / "secret"):
        path.chmod(0o777)
    places = {"HOME": HOME, "PROJECT": PROJECT, "OUT": tmp_path / "out", "SECRET": tmp_path / "secret"}
    return {**places, "MARK": MARK}


@pytest.fixture
def nothing_is_left_behind(tmp_path):
    """No process, no mount, and no file with `MARK` for a name."""
    # What loses its parent becomes a child of this process, and so is counted.
    syscalls.call("prctl", _PR_SET_CHILD_SUBREAPER, 1)
    before, mounts_before = set(with_descendants(os.getpid())), mounts()
    yield
    end = time.monotonic() + 20
    while left := set(with_descendants(os.getpid())) - before:
        bury(left)
        assert time.monotonic() < end, f"{len(left)} processes are left"
        time.sleep(0.05)
    syscalls.call("prctl", _PR_SET_CHILD_SUBREAPER, 0)
    folders = [Path(path) for path in ("/", "/usr", "/etc", "/dev", "/dev/shm", "/tmp", "/var/tmp", "/home")]
    assert [str(f) for f in (*folders, HOME, PROJECT, tmp_path / "out") if (f / MARK).exists()] == []
    assert mounts() == mounts_before


def mounts():
    return Path("/proc/self/mountinfo").read_text()


def bury(processes):
    """Take note of the end of those that have become our children."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
