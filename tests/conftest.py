"""What all tests share: one thread a process, and how many cases a property tries."""

import os

# Before anything imports torch: two test processes with a thread pool each would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("SPANMIX_NIGHTLY", "0") not in ("", "0")

SLOW = [HealthCheck.too_slow]  # the machine is shared; slowness is the timeout's business
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=1000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("nightly" if NIGHTLY else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `nightly` unless SPANMIX_NIGHTLY=1; nothing is ever skipped."""
    if NIGHTLY:
        return
    long = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("nightly")]
