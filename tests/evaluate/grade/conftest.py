"""The isolations that this machine has, and a short way to grade."""

import os
import shutil

import pytest

from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Namespaces
from spanmix.evaluate.grade.limits import Limits

ISOLATIONS = {"namespaces": Namespaces()}
if bubblewrap := shutil.which("bwrap"):
    ISOLATIONS["bubblewrap"] = Bubblewrap(bubblewrap, os.geteuid() == 0)


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
