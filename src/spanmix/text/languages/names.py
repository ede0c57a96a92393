"""One name for each language, whatever a dataset, a tool or a person calls it."""

from __future__ import annotations

_ALSO_CALLED = {
    "bash": "shell sh zsh ksh shellscript shell-script",
    "batchfile": "bat batch dosbatch",
    "c": "ansi-c",
    "cpp": "c++ cplusplus cxx",
    "csharp": "c# c-sharp cs",
    "fsharp": "f# f-sharp",
    "go": "golang",
    "html": "html5 xhtml",
    "javascript": "js ecmascript node",
    "jupyter": "jupyter-notebook ipynb",
    "makefile": "make gnumake",
    "markdown": "md gfm",
    "objectivec": "objective-c objc",
    "objectivecpp": "objective-c++ objcpp",
    "perl": "perl5",
    "powershell": "pwsh posh",
    "protobuf": "protocol-buffer protocol-buffers protocolbuffer proto",
    "python": "python3 python2 py",
    "restructuredtext": "rst",
    "ruby": "rb jruby",
    "rust": "rs",
    "tex": "latex",
    "text": "plain-text plaintext txt",
    "typescript": "ts tsx typescriptreact",
    "viml": "vim vim-script vimscript",
    "yaml": "yml",
}
_NAME_OF = {other: name for name, others in _ALSO_CALLED.items() for other in others.split()}

PROSE = frozenset(
    {"markdown", "restructuredtext", "text", "asciidoc", "org", "rdoc", "textile", "pod", "man"}
)
"""Languages of files that are written for people to read."""


def language_name(language: str) -> str:
    """Return the name under which Spanmix knows a language; an unknown one in lower case with hyphens.

    >>> language_name("C++"), language_name("Shell"), language_name("Common Lisp"), language_name("python")
    ('cpp', 'bash', 'common-lisp', 'python')
    """
    name = language.strip().lower().replace(" ", "-").replace("_", "-")
    return _NAME_OF.get(name, name)
