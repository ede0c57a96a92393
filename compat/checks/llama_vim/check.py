"""llama.vim in Vim 9, in a terminal: what is accepted there is what ``/infill`` answers.

The plugin has no registry: LLAMA_VIM names the folder of a checkout of https://github.com/ggml-org/llama.vim.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

from report import CheckFailedError, Report, expect
from serving import serving
from typing_in_vim import type_in_vim

_PACKAGES = ("vim", "vim-runtime", "libsodium23", "libgpm2")
_NUM_TOKENS = 6
_HEAD, _LINE, _TAIL = "import os\n\n\ndef f(x):\n", "    {} = ", "\n    return y\n"


def check(url: str, scratch: Path, model: Path) -> Report:
    """Trigger a completion, accept it whole, and then the first word of one."""
    plugin = Path(os.environ.get("LLAMA_VIM", ""))
    if not (plugin / "autoload" / "llama.vim").is_file():
        raise CheckFailedError("LLAMA_VIM", "a folder with autoload/llama.vim", repr(str(plugin)))
    if shutil.which("curl") is None:
        raise CheckFailedError("curl", "it to be installed, as llama.vim calls it", "none on the path")
    vim = _installed(scratch)
    with serving(model, scratch / "greedy.log", "--temperature", "0") as greedy:
        line, answer = _plain_answer(greedy)
        for part, key in (("full", "\t"), ("word", "\x02")):
            file = scratch / f"{part}.py"
            file.write_text(_HEAD + line + _TAIL, encoding="utf-8")
            type_in_vim(vim, file, _vimrc(plugin, greedy), key)
            written = answer if part == "full" else re.match(r"\s*\S+", answer)[0]
            expect(
                f"the file, accepted: {part}",
                _HEAD + line + written + _TAIL,
                file.read_text(encoding="utf-8"),
            )
    digest = hashlib.sha256((plugin / "autoload" / "llama.vim").read_bytes()).hexdigest()[:12]
    checks = [
        "the plugin is no package: LLAMA_VIM=FOLDER names a checkout of github.com/ggml-org/llama.vim",
        "an answer that is triggered and accepted with Tab is that of /infill at temperature 0",
        "of an answer that is accepted by the word the first word stands in the file",
    ]
    return Report("llama.vim", f"autoload/llama.vim {digest}, Vim {_version(vim)}", checks)


def _installed(scratch: Path) -> list[str]:
    """Return the command of Debian's Vim, unpacked in a folder; one that is there is kept."""
    root = scratch / "vim"
    if not root.is_dir():
        packages = scratch / "packages"
        packages.mkdir(exist_ok=True)
        command = ["apt-get", "download", *_PACKAGES]
        got = subprocess.run(command, cwd=packages, capture_output=True, text=True)
        if got.returncode:
            raise CheckFailedError(" ".join(command), "packages of Debian", got.stderr.strip()[-400:])
        for package in packages.glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    libraries = next(root.glob("usr/lib/*-linux-gnu"))
    [runtime] = root.glob("usr/share/vim/vim[0-9]*")
    binary = root / "usr" / "bin" / "vim.basic"
    return ["env", f"LD_LIBRARY_PATH={libraries}", f"VIMRUNTIME={runtime}", str(binary)]


def _version(vim: list[str]) -> str:
    told = subprocess.run([*vim, "--version"], capture_output=True, text=True, check=True).stdout
    version, patches = re.search(r"IMproved (\d+\.\d+)", told), re.search(r"patches: 1-(\d+)", told)
    if version is None or patches is None or float(version[1]) < 9:
        raise CheckFailedError("vim --version", "Vim 9", told[:100])
    return f"{version[1]}.{patches[1]}"


def _plain_answer(url: str) -> tuple[str, str]:
    """Return a line to complete, and its greedy answer: one of a line, as time cuts at its end."""
    for number in range(64):
        line = _LINE.format(f"y{number}")
        fields = {
            "input_prefix": _HEAD,
            "prompt": line,
            "input_suffix": _TAIL,
            "n_predict": _NUM_TOKENS,
            "n_indent": 4,
            "top_k": 40,
            "top_p": 0.9,
            "temperature": 0,
        }
        body = json.dumps(fields).encode()
        request = urllib.request.Request(f"{url}/infill", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)["content"]
        if answer.isprintable() and re.match(r"\s*\S+\s", answer):
            return line, answer
    raise CheckFailedError("/infill", "an answer of two words in a line to one of 64 prompts", "none")


def _vimrc(plugin: Path, url: str) -> str:
    """Return the settings: nothing happens but what keys ask for, and no warning waits for Enter."""
    config = {
        "endpoint_fim": f"{url}/infill",
        "n_predict": _NUM_TOKENS,
        "auto_fim": False,
        "ring_n_chunks": 0,
        "t_max_prompt_ms": 0,
        "keymap_fim_trigger": "<C-F>",
        "keymap_fim_accept_full": "<Tab>",
        "keymap_fim_accept_word": "<C-B>",
    }
    return f"""\
set encoding=utf-8 noswapfile cmdheight=5 shortmess+=F
let g:llama_config = json_decode('{json.dumps(config)}')
set runtimepath^={plugin}
set noloadplugins
autocmd VimEnter * silent runtime plugin/llama.vim
autocmd VimEnter * call cursor({_HEAD.count(chr(10)) + 1}, 1) | startinsert!
"""
