"""A folder that lost anything is made again; one that is whole is not."""

import pytest

from spanmix.text.preparation.once import make_once


def fill(folder):
    (folder / "inner").mkdir()
    (folder / "inner" / "a").write_bytes(b"12345")
    (folder / "b").write_bytes(b"")
    fill.calls += 1


@pytest.fixture
def made(tmp_path):
    fill.calls = 0
    make_once(tmp_path / "out", fill)
    assert fill.calls == 1
    return tmp_path / "out"


def whole(folder):
    return (folder / "inner" / "a").read_bytes() == b"12345" and (folder / "b").exists()


def test_what_is_whole_is_not_made_again(made):
    make_once(made, fill)
    assert fill.calls == 1 and whole(made)


@pytest.mark.parametrize("name", ["inner/a", "b", "sizes.json"])
@pytest.mark.parametrize("how", ["removed", "shorter", "longer"])
def test_what_was_damaged_is_made_again(made, name, how):
    path = made / name
    if how == "removed":
        path.unlink()
    elif how == "longer" or name == "b":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.write_bytes(path.read_bytes()[:-1])
    make_once(made, fill)
    assert fill.calls == 2 and whole(made)


def test_what_was_interrupted_is_made_again(tmp_path):
    fill.calls = 0

    def stop(folder):
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "out", stop)
    assert not (tmp_path / "out").exists()
    make_once(tmp_path / "out", fill)
    assert fill.calls == 2 and whole(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
