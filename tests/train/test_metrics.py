"""``metrics.jsonl`` holds every figure once; what is damaged in it is named."""

import pytest

from spanmix.errors import InputError
from spanmix.train.metrics import Metric, MetricsLog, read_metrics

TORN = '{"step": 4, "rows": 16, "tok'


@pytest.fixture
def path(tmp_path):
    """A log of three steps."""
    log = MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.write([Metric("train", "loss", 1.5 / step, source="code")], step, 4 * step, 100 * step)
    log.close()
    return tmp_path / "metrics.jsonl"


def test_a_resume_cuts_what_lies_behind_the_checkpoint_and_a_torn_last_line(path):
    path.write_text(path.read_text() + TORN)
    MetricsLog(path.parent, 2).close()
    assert [line["step"] for line in read_metrics(path)] == [1, 2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("null", "None"),
        ("[]", r"\[\]"),
        ("", "not JSON"),
        (TORN, "not JSON"),
        ('{"step": "x"}', "step 'x'"),
        ('{"step": 1}', "no rows"),
        ('{"step": 1, "rows": 1, "tokens": 1, "kind": "train", "name": "loss", "value": NaN}', "value nan"),
        ('{"step": 1, "rows": 1, "tokens": 1, "kind": "train", "name": 3, "value": 1}', "name 3"),
    ],
)
def test_a_damaged_line_is_named(path, line, said):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")
    for read in (lambda: read_metrics(path), lambda: MetricsLog(path.parent, 3)):
        with pytest.raises(InputError, match=rf"metrics\.jsonl, line 2 .*{said}.*Delete the line"):
            read()


def test_a_log_that_is_not_text_is_refused(path):
    path.write_bytes(path.read_bytes() + b"\xff\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl is not UTF-8"):
        MetricsLog(path.parent, 3)
