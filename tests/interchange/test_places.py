"""What lies at DEST stays unless it is a model, and what was not finished never looks whole."""

import json
import shutil

import gguf
import pytest

from spanmix.cli import main
from spanmix.errors import InputError, SpanmixError
from spanmix.interchange import convert as module
from spanmix.interchange.convert import convert
from spanmix.interchange.gguf import place
from spanmix.interchange.gguf.place import whole_file
from spanmix.model.folder import save_model_folder
from spanmix.text.tokenizer import Tokenizer

FOLDERS = ("native", "codegen", "ctranslate2")


@pytest.fixture(scope="module")
def source(make_decoder, tokenizer, tmp_path_factory):
    return save_model_folder(
        tmp_path_factory.mktemp("m") / "mine", make_decoder(1, 32, 4, 4, 32), tokenizer, {}
    )


@pytest.mark.parametrize("to", FOLDERS)
def test_a_project_that_has_a_config_is_no_model(to, source, tmp_path):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "config.json").write_text("{}")
    (project / "src" / "app.js").write_text("work of years")
    with pytest.raises(InputError, match=r"has a config\.json but no weights, so it is not a model"):
        convert(str(source), project, to)
    assert (project / "src" / "app.js").read_text() == "work of years"


@pytest.mark.parametrize("to", FOLDERS)
def test_folders_beside_a_model_are_not_lost(to, source, tmp_path):
    convert(str(source), tmp_path / "m", to)
    convert(str(source), tmp_path / "m", to)  # a model alone is replaced
    (tmp_path / "m" / ".git").mkdir()
    with pytest.raises(InputError, match=r"the folder \.git in it be lost; move that away"):
        convert(str(source), tmp_path / "m", to)
    assert (tmp_path / "m" / ".git").is_dir()


@pytest.mark.parametrize(("to", "name"), [*((to, "x") for to in FOLDERS), ("gguf", "x.gguf")])
@pytest.mark.parametrize("above", ["/proc", "file"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    above, to, name, source, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "open_source", None)
    assert main(["convert", str(source), f"{above}/{name}", "--to", to]) == 2
    told = capsys.readouterr().err
    assert "nothing can be written to /proc" in told if above == "/proc" else "file is a file" in told
    assert "spanmix-lock" not in told and "spanmix-partial" not in told


@pytest.mark.parametrize("name", ["SOURCE", "DEST"])
def test_an_empty_name_is_not_the_current_folder(name, source, capsys):
    named = {"SOURCE": str(source), "DEST": "m", name: ""}
    assert main(["convert", *named.values(), "--to", "native"]) == 2
    assert "SOURCE or DEST is empty" in capsys.readouterr().err


def test_a_report_is_never_that_of_another_file(source, tmp_path, monkeypatch):
    dest, report = tmp_path / "m.gguf", tmp_path / "m.gguf.export_report.json"
    convert(str(source), dest, "gguf", "f32")
    assert json.loads(report.read_text())["stored_as"] == "f32"

    def ended(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_json", ended)
    with pytest.raises(KeyboardInterrupt):
        convert(str(source), dest, "gguf", "bf16")
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_a_name_that_leaves_no_room_for_the_report_is_refused(source, tmp_path):
    with pytest.raises(InputError, match="has 225 bytes, and 200 is the most"):
        convert(str(source), tmp_path / f"{'x' * 220}.gguf", "gguf")
    (tmp_path / "m.gguf.export_report.json").mkdir()
    with pytest.raises(InputError, match=r"export_report\.json is a folder"):
        convert(str(source), tmp_path / "m.gguf", "gguf")
    assert not (tmp_path / "m.gguf").exists()


def test_a_lock_on_a_file_that_was_put_in_its_place_is_none(tmp_path):
    """As if the holder before us had finished between our open and our lock."""
    path = tmp_path / "m.gguf"
    flock = place.fcntl.flock

    def late(lock, how):
        (tmp_path / ".m.gguf.spanmix-partial").replace(path)
        flock(lock, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place.fcntl, "flock", late)
        with pytest.raises(InputError, match="being written by another process"), whole_file(path):
            pass
    assert path.exists()


@pytest.mark.parametrize("to", FOLDERS)
def test_a_disk_that_fills_up_at_the_tokenizer_is_told(to, source, tmp_path, monkeypatch):
    def full(self, folder):
        raise Exception("No space left on device (os error 28)")  # as the library does

    monkeypatch.setattr(Tokenizer, "save", full)
    with pytest.raises(SpanmixError, match=r"tokenizer\.json could not be written: No space left on device"):
        convert(str(source), tmp_path / "m", to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "card", ["---\ndate: 2023-13-45\n---\n", f"---\n{'[' * 9999}\n---\n", "---\n\tlicense: x\n---\n"]
)
def test_a_model_card_that_cannot_be_read_has_no_license(card, source, tmp_path):
    folder = shutil.copytree(source, tmp_path / "source")
    (folder / "README.md").write_text(card)
    convert(str(folder), tmp_path / "m.gguf", "gguf", "f32")
    assert (tmp_path / "m.gguf").is_file()


def test_the_current_folder_has_a_name(source, tmp_path, monkeypatch):
    monkeypatch.chdir(source)
    convert(".", tmp_path / "m.gguf", "gguf", "f32")
    assert gguf.GGUFReader(tmp_path / "m.gguf").fields["general.name"].contents() == "mine"
