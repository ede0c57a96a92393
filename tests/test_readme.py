"""The documents name what is there: every file of the package, and no link that leads nowhere."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def tree_in_readme() -> list[str]:
    """Paths of the README's tree; each file has a phrase behind it."""
    block = re.search(r"```\n(src/spanmix/\n.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    assert block is not None
    folders: list[str] = []
    paths = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, phrase = line.strip().partition(" ")
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            assert phrase.strip(), f"{name} has no phrase"
            paths.append("".join(folders) + name)
    return paths


def test_the_readme_names_every_file():
    hidden = ("__init__.py", "__main__.py")
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py") if path.name not in hidden}
    named = tree_in_readme()
    assert len(named) > 50
    assert len(set(named)) == len(named)
    assert set(named) == files


def test_links_lead_somewhere():
    seen = 0
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                seen += 1
                assert (document.parent / target).exists(), f"{document.name} links to {target}"
    assert seen > 10
