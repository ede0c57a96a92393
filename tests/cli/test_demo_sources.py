"""The demo's sources are of this machine's Python, and of nothing that changes with Spanmix itself."""

import json
import sysconfig

from spanmix.demo.gather import gather


def test_nothing_is_of_spanmix_itself(tmp_path, monkeypatch):
    site, library = tmp_path / "site", tmp_path / "lib"
    files = {
        "one/__init__.py": "one = 1\n",
        "one/README.md": "About one.\n",
        "one-1.0.dist-info/METADATA": "Name: one\n",
        "spanmix_plugin-1.0.dist-info/METADATA": "Name: spanmix-plugin\n",
        "spanmix-0.1.0.dist-info/METADATA": "Name: spanmix\n",
        "spanmix-0.1.0.dist-info/licenses/README.md": "How it is licensed.\n",
        "Spanmix-0.1.0.egg-info/README.md": "Old.\n",
        "spanmix/__init__.py": "own = 1\n",
        "spanmix/README.md": "About it.\n",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    library.mkdir()
    (library / "base64.py").write_text("base = 64\n")
    monkeypatch.setattr(sysconfig, "get_path", {"purelib": str(site), "stdlib": str(library)}.__getitem__)
    code, prose = gather(tmp_path / "sources", 1000, 10_000_000, 1)
    paths = [json.loads(line)["path"] for path in (code, prose) for line in path.read_text().splitlines()]
    assert [path for path in paths if not path.startswith("pydoc/")] == [
        "python/base64.py",
        "one/__init__.py",
        "documents/one/README.md",
        "documents/one-1.0.dist-info/METADATA",
        "documents/spanmix_plugin-1.0.dist-info/METADATA",
    ]
