"""Files that a user names are read, checked and rewritten without harm."""

import os
from pathlib import Path

import pytest

from spanmix.cli import main
from spanmix.cli.files import TextFile, read_file, replace_text, require_writable
from spanmix.errors import InputError
from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.opening import OpenModel
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "script.py"
    path.write_bytes(b"a\r\n")
    path.chmod(0o750)
    return path


def test_text_is_written_whole_and_keeps_mode_and_links(tmp_path, script):
    link, other_name = tmp_path / "link.py", tmp_path / "other.py"
    link.symlink_to(script)
    other_name.hardlink_to(script)
    replace_text(read_file(str(link)), "b\r\nc\n")
    assert link.is_symlink()
    assert script.read_bytes() == b"b\r\nc\n" and script.stat().st_mode & 0o7777 == 0o750
    assert other_name.read_bytes() == b"a\r\n"
    assert names(tmp_path) == ["link.py", "other.py", "script.py"]
    assert read_file(str(script)).text == "b\r\nc\n"


def test_what_a_killed_process_leaves_is_for_nobody_else(tmp_path, script, monkeypatch):
    seen = []

    def look(handle):
        seen.append({path.name[:12]: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()})

    monkeypatch.setattr("os.fsync", look)
    before = os.umask(0)
    try:
        replace_text(read_file(str(script)), "b")
    finally:
        os.umask(before)
    assert seen[0] == {"script.py": 0o750, ".script.py.p": 0o600}


@pytest.mark.parametrize(("may_give_away", "num_asked"), [(True, 1), (False, 2)])
def test_owner_and_group_are_kept_as_far_as_we_may(script, monkeypatch, may_give_away, num_asked):
    asked = []

    def chown(path, owner, group):
        asked.append((owner, group))
        if owner != -1 and not may_give_away:
            raise PermissionError

    monkeypatch.setattr("os.chown", chown)
    rights = script.stat()
    replace_text(read_file(str(script)), "b")
    assert asked == [(rights.st_uid, rights.st_gid), (-1, rights.st_gid)][:num_asked]
    assert script.read_text() == "b" and script.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("saved", ["b = 1\n", "a\n", None])
def test_a_file_that_was_saved_meanwhile_is_left_alone(
    capsys, script, monkeypatch, saved, tokenizer, make_decoder
):
    """What the user saves while the model is at work wins."""
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    model = OpenModel("m", engine, tokenizer, Asked((), codegen2_format(tokenizer.control)), None)

    def open_slowly(name, engine_name, lead_tokens):
        if saved is None:
            script.unlink()
        else:
            script.write_text(saved)
        return model

    infill = ["infill", "m", str(script), "--at", "1:1", "--in-place", "--max-tokens", "4"]
    monkeypatch.setattr("spanmix.generate.opening.open_model", open_slowly)
    assert main(infill) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "changed by someone else" in printed.err and "nothing was" in printed.err
    assert [path.read_text() for path in script.parent.iterdir()] == ([] if saved is None else [saved])
    script.write_bytes(b"a\r\n")
    monkeypatch.setattr("spanmix.generate.opening.open_model", lambda name, engine_name, lead_tokens: model)
    assert main(infill) == 0
    assert script.read_bytes().endswith(b"a\r\n") and script.stat().st_size > 3


@pytest.mark.parametrize(("given", "ends"), [(b"a\r\nb\r\n", b"\r\n"), (b"a\nb\r\n", b"\n")])
def test_a_file_keeps_its_line_ends(script, monkeypatch, tokenizer, make_decoder, given, ends):
    """What comes ends its lines as all the others do; the model is shown line feeds."""
    from spanmix.generate.infill import Infill

    shown = []

    def infill_many(engine, tokenizer, format, parts, sampling, healer):
        shown.extend(parts)
        return [Infill("x\ny", "stop", (), ())]

    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    model = OpenModel("m", engine, tokenizer, Asked((), codegen2_format(tokenizer.control)), None)
    monkeypatch.setattr("spanmix.generate.opening.open_model", lambda name, engine_name, lead_tokens: model)
    monkeypatch.setattr("spanmix.generate.infill.infill_many", infill_many)
    script.write_bytes(given)
    assert main(["infill", "m", str(script), "--at", "2:1", "--in-place"]) == 0
    assert script.read_bytes() == given.replace(b"b", b"x" + ends + b"yb")
    assert ("\r" in "".join(shown)) == (ends == b"\n")
    assert main(["infill", "m", str(script), "--at", "1:1", "--json", "--only-middle"]) == 2


def test_a_cursor_inside_a_word_is_healed(capsys, monkeypatch, tokenizer, make_decoder):
    from spanmix.generate.healing import Healer
    from spanmix.generate.infill import infill

    engine, format = TorchEngine(make_decoder(1, 32, 1, 8, 128)), codegen2_format(tokenizer.control)
    model = OpenModel("m", engine, tokenizer, Asked((), format), None)
    monkeypatch.setattr("spanmix.generate.opening.open_model", lambda name, engine_name, lead_tokens: model)
    num_changed = 0
    for prefix in ("def alph", "val", "return tot", "x = coun"):
        asked = Sampling(8)
        healed = infill(engine, tokenizer, format, prefix, "\n", asked, Healer(tokenizer)).text
        num_changed += healed != infill(engine, tokenizer, format, prefix, "\n", asked).text
        told = ["--prefix", prefix, "--suffix", "\n", "--max-tokens", "8", "--only-middle"]
        assert main(["infill", "m", *told]) == 0
        assert capsys.readouterr().out == healed + "\n"
    assert num_changed


def test_text_that_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt is not UTF-8 text: byte 0xe9 at offset 3"):
        read_file(str(file))
    with pytest.raises(InputError, match="cannot be read"):
        read_file(str(tmp_path / "none.txt"))


def test_a_name_may_hold_any_bytes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.py")
    path.write_text("a")
    require_writable(path)
    replace_text(read_file(str(path)), "b")
    assert path.read_text() == "b"


PLACES = [
    ("folder", "is a folder; name a file"),
    ("file/below", "file is a file; name another place"),
    ("file/far/below", "file is a file; name another place"),
    ("circle", "in a circle"),
    ("n" * 250, "File name too long"),
    ("/proc/results.json", "cannot be written"),
    ("/dev/null", "is no regular file"),
    ("", "is a folder"),
]


@pytest.fixture
def places(tmp_path, monkeypatch) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("place", "said"), PLACES)
def test_evaluate_looks_at_its_place_before_anything_else(capsys, places, place, said):
    assert main(["evaluate", "no/such/model", "--corpus", "none", "--out", place]) == 2
    assert said in capsys.readouterr().err
    assert names(places) == ["circle", "file", "folder"]


def test_in_place_looks_at_its_file_before_anything_else(capsys, script, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert main(["infill", "no/such/model", str(script), "--at", "1:1", "--in-place"]) == 2
    assert "script.py is read-only" in capsys.readouterr().err


def test_a_place_that_can_be_written_is_left_as_it_is(places):
    (places / "link").symlink_to("far/away")
    before = names(places)
    for place in ("file", "new", "new/folder/file", "folder/file", "link"):
        require_writable(Path(place))
    assert names(places) == before and (places / "file").read_text() == "mine"


def test_a_link_that_leads_elsewhere_meanwhile_is_not_followed_again(tmp_path, script):
    (tmp_path / "new.py").write_text("new")
    link = tmp_path / "link.py"
    link.symlink_to(script)
    file = read_file(str(link))
    assert file == TextFile(script, "a\r\n")
    link.unlink()
    link.symlink_to("new.py")
    replace_text(file, "b")
    assert (script.read_text(), link.read_text()) == ("b", "new")
