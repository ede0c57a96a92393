"""Files and folders are whole or absent, in the place that was meant."""

import errno
import os
from pathlib import Path

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.files import one_writer, whole_folder, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill(path: Path, text: str) -> None:
    with whole_folder(path) as aside:
        (aside / "a").write_text(text)


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("disk/real")
    for text in ("one", "two"):
        fill(tmp_path / "link", text)
        assert (tmp_path / "disk" / "real" / "a").read_text() == text
    (tmp_path / "text").symlink_to("disk/text")
    write_text(tmp_path / "text", "three")
    assert (tmp_path / "disk" / "text").read_text() == "three"
    assert all((tmp_path / name).is_symlink() for name in ("link", "text"))
    assert names(tmp_path / "disk") == ["real", "text"]


def test_two_names_of_one_folder_have_one_writer(tmp_path):
    (tmp_path / "link").symlink_to("real")
    with one_writer(tmp_path / "real"), pytest.raises(InputError, match="another process"):
        one_writer(tmp_path / "link").__enter__()


@pytest.mark.parametrize("make", [whole_folder, one_writer])
def test_what_cannot_be_replaced_is_refused_before_the_work(tmp_path, monkeypatch, make):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    places = {"file": "is a file", "circle": "in a circle", "here": "current folder"}
    for path, said in [(tmp_path / name, said) for name, said in places.items()] + [
        (Path(), "current folder"),
        (Path("../.."), "current folder"),
        (Path("/proc"), "mount point"),
    ]:
        with pytest.raises(InputError, match=said), make(path):
            raise AssertionError("the work began")
    assert names(tmp_path) == ["circle", "file", "here"]


def test_a_full_disk_leaves_the_old_folder_and_says_how_much_is_free(tmp_path):
    fill(tmp_path / "folder", "old")
    said = r"/folder could not be written: No space left on device \([\d,]+ bytes are free"
    with pytest.raises(SpanmixError, match=said) as error, whole_folder(tmp_path / "folder"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.exit_code == 1
    assert names(tmp_path) == ["folder"] and (tmp_path / "folder" / "a").read_text() == "old"


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), whole_folder(tmp_path / "folder"):
        raise PermissionError(errno.EACCES, "Permission denied")
