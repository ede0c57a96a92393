"""A folder that lost anything is made again; one that is whole is not."""

import pytest

from spanmix.text.preparation.once import finished_folders, make_once


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


@pytest.mark.parametrize("name", ["inner/a", "b", "files.json"])
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


def test_every_bit_of_a_file_counts_and_every_byte_of_the_record(made):
    flipped = 0
    for name in ("inner/a", "files.json"):
        good = (made / name).read_bytes()
        for position in range(0, 8 * len(good), 1 if name == "inner/a" else 9):
            data = bytearray(good)
            data[position // 8] ^= 1 << position % 8
            (made / name).write_bytes(data)
            make_once(made, fill)
            flipped += 1
            assert fill.calls == 1 + flipped and whole(made), (name, position)
            assert (made / name).read_bytes() == good
    assert flipped > 60


def test_bytes_that_changed_places_and_files_that_were_added_are_seen(made):
    (made / "inner" / "a").write_bytes(b"21345")
    make_once(made, fill)
    assert fill.calls == 2 and whole(made)
    (made / "more").write_bytes(b"")
    make_once(made, fill)
    assert fill.calls == 3 and not (made / "more").exists()


def test_what_is_finished_two_levels_below_is_told(tmp_path):
    fill.calls = 0
    assert finished_folders(tmp_path / "missing") == set()
    make_once(tmp_path / "clean" / "one", fill)
    make_once(tmp_path / "encode" / "two", fill)
    (tmp_path / "fates").mkdir()
    (tmp_path / "clean" / "three.partial").mkdir()
    (tmp_path / "clean" / "three.partial" / "files.json").write_text("{}")
    assert finished_folders(tmp_path) == {tmp_path / "clean" / "one", tmp_path / "encode" / "two"}


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
