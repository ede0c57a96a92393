"""Small git repositories whose every commit is known, and a tokenizer that a real engine takes."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]
DAY = 86_400
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "HOME": os.devnull,
}


def git(*arguments, data=b""):
    """Run git as somebody who made the repository would."""
    settings = ("-c", "init.defaultBranch=main", "-c", "user.name=A", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", *settings, *map(str, arguments)], input=data, capture_output=True, env=ENVIRONMENT, check=True
    )
    return done.stdout


@dataclass
class History:
    """Commits for ``git fast-import``; `write` makes the repository, and then `ids` has theirs."""

    folder: Path
    stream: list = field(default_factory=list)
    ids: list = field(default_factory=list)
    num_commits: int = 0

    def commit(self, files, *, day, authored=None, parents=None):
        """Change files: a name to bytes, text, None (deleted), or (mode, content or id)."""
        self.num_commits += 1
        mark = self.num_commits
        parents = ([mark - 1] if mark > 1 else []) if parents is None else parents
        author_day = day if authored is None else authored
        lines = [b"commit refs/heads/main", b"mark :%d" % mark]
        lines += [
            b"author A <a@b> %d +0000" % (author_day * DAY),
            b"committer A <a@b> %d +0200" % (day * DAY),
        ]
        lines += [b"data 1\nm"]
        lines += [
            (b"from :%d" if place == 0 else b"merge :%d") % parent for place, parent in enumerate(parents)
        ]
        for name, content in files.items():
            lines += self._change(os.fsencode(name), content)
        self.stream += [*lines, b""]
        return mark

    def _change(self, name, content):
        quoted = b'"' + b"".join(b"\\%03o" % byte for byte in name) + b'"'
        if content is None:
            return [b"D " + quoted]
        mode, content = content if isinstance(content, tuple) else ("100644", content)
        if mode == "160000":
            return [b"M 160000 " + content.encode() + b" " + quoted]
        data = content.encode() if isinstance(content, str) else content
        return [b"M " + mode.encode() + b" inline " + quoted, b"data %d\n" % len(data) + data]

    def write(self, bare=True):
        git("init", "--quiet", *(["--bare"] if bare else []), self.folder)
        marks = self.folder / "marks"
        data = b"\n".join(self.stream) + b"\n"
        git("-C", self.folder, "fast-import", "--quiet", f"--export-marks={marks}", data=data)
        found = dict(line.split() for line in marks.read_text().splitlines())
        self.ids = [found[f":{mark}"] for mark in range(1, self.num_commits + 1)]
        marks.unlink()
        return self.folder


@pytest.fixture
def make_history(tmp_path):
    made = []

    def make():
        made.append(History(tmp_path / f"repository{len(made)}"))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def run_git():
    return git


@pytest.fixture(scope="session")
def tokenizer():
    from spanmix.text.tokenizer import Tokenizer

    return Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)


@pytest.fixture
def steps(make_history):
    """Thirty commits in two languages, with edits inside lines and blank lines between what was typed."""
    history = make_history()
    lines = ["# the steps (x)"]
    for day in range(1, 32):
        if day % 3 == 0:
            del lines[1:]
        elif day > 1:
            lines += ["", f"def step_{day}(x):", f"    y = x + {day}", "", "    return y"]
        if day % 5 == 0:
            lines[0] = lines[0].replace("(x", "(x, x")
        files = {"a.py": "\n".join(lines) + "\n"}
        files["b.c"] = "".join(f"int v{n};\n" for n in range(1 + day // 4))
        history.commit(files, day=day)
    return history.write()


@pytest.fixture(scope="session")
def lines_of():
    """The answers of a file, without what is never the same."""
    return lambda path: [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]
