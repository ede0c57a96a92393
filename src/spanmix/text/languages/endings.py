"""The language of a file by its name alone: endings and whole names."""

from __future__ import annotations

_ENDINGS = {
    "ada": "ada adb ads", "agda": "agda", "alloy": "als", "antlr": "g4", "applescript": "applescript",
    "asciidoc": "adoc asciidoc", "assembly": "asm s nasm", "augeas": "aug", "awk": "awk gawk mawk",
    "bash": "sh bash zsh ksh", "batchfile": "bat cmd", "bluespec": "bsv", "c": "c h",
    "clojure": "clj cljc cljs",
    "cmake": "cmake", "coffeescript": "coffee", "common-lisp": "lisp lsp cl",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp tpp inl", "csharp": "cs csx", "css": "css", "csv": "csv",
    "cuda": "cu cuh", "dart": "dart", "diff": "diff patch", "dockerfile": "dockerfile",
    "elixir": "ex exs", "elm": "elm", "emacs-lisp": "el", "erlang": "erl hrl", "fsharp": "fs fsi fsx",
    "fortran": "f f77 f90 f95 f03 f08 for", "glsl": "glsl vert frag", "go": "go", "gradle": "gradle",
    "graphql": "graphql gql", "groovy": "groovy", "haskell": "hs lhs", "hcl": "hcl tf",
    "html": "htm html xhtml", "idris": "idr", "ini": "ini cfg", "isabelle": "thy", "java": "java",
    "java-server-pages": "jsp", "javascript": "js jsx cjs mjs", "json": "json", "julia": "jl",
    "kotlin": "kt kts", "lean": "lean", "less": "less", "literate-coffeescript": "litcoffee", "lua": "lua",
    "makefile": "mk mak", "maple": "mpl", "markdown": "md markdown mkd", "mathematica": "wl nb wls",
    "matlab": "mlx", "nim": "nim", "nix": "nix", "objectivec": "m", "objectivecpp": "mm",
    "ocaml": "ml mli", "pascal": "pas dpr lpr", "perl": "pl pm", "php": "php phtml",
    "powershell": "ps1 psd1 psm1", "prolog": "prolog", "protobuf": "proto", "puppet": "pp",
    "python": "py pyi pyx pyw",
    "qml": "qml", "r": "r", "racket": "rkt", "restructuredtext": "rst rest", "rmarkdown": "rmd",
    "ruby": "rb rake gemspec", "rust": "rs", "sas": "sas", "scala": "scala sc", "scheme": "scm ss sld",
    "scss": "scss", "sass": "sass", "smalltalk": "st", "solidity": "sol", "sparql": "rq sparql",
    "sql": "sql", "standard-ml": "sml", "stan": "stan", "stata": "do ado", "svelte": "svelte",
    "swift": "swift", "systemverilog": "sv svh", "tcl": "tcl", "tex": "tex sty cls bib", "text": "txt text",
    "thrift": "thrift", "toml": "toml", "typescript": "ts tsx cts mts", "verilog": "v vh",
    "vhdl": "vhd vhdl", "viml": "vim", "visual-basic": "vb bas vbs", "vue": "vue",
    "webassembly": "wat wast", "xml": "xml xsd", "xslt": "xsl xslt", "yacc": "y yy", "yaml": "yaml yml",
    "zig": "zig",
}  # fmt: skip
LANGUAGE_OF = {ending: name for name, endings in _ENDINGS.items() for ending in endings.split()}
"""By the ending of a file's name, without its dot and in lower case.

An ending that several languages share has the one of them that most files with it are, by GitHub's linguist:
``.h`` is C, ``.m`` Objective-C, ``.v`` Verilog; the contents may say otherwise.
"""

_NAMES = {
    "bash": ".bashrc .bash_profile .profile .zshrc apkbuild pkgbuild gradlew",
    "cmake": "cmakelists.txt",
    "dockerfile": "dockerfile containerfile",
    "go-module": "go.mod",
    "groovy": "jenkinsfile",
    "ini": ".editorconfig .gitconfig .flake8",
    "json": ".babelrc .eslintrc .prettierrc",
    "makefile": "makefile gnumakefile bsdmakefile makefile.am makefile.in kbuild",
    "perl": "cpanfile makefile.pl",
    "python": "sconstruct sconscript wscript",
    "ruby": "gemfile rakefile podfile vagrantfile brewfile guardfile capfile fastfile",
    "starlark": "build.bazel workspace.bazel module.bazel",
    "text": "readme license licence copying copyright authors changelog changes contributors install news "
    "notice todo",
    "toml": "cargo.lock pipfile poetry.lock uv.lock",
    "viml": ".vimrc",
}
LANGUAGE_OF_NAME = {name: language for language, names in _NAMES.items() for name in names.split()}
"""By the whole name of a file, in lower case; it goes before the ending."""


def language_of(path: str) -> str:
    """Return the language of a file by its name, or ``""``.

    >>> language_of("src/Main.java"), language_of("docker/Dockerfile"), language_of("CMakeLists.txt")
    ('java', 'dockerfile', 'cmake')
    >>> language_of("Dockerfile.dev"), language_of("a.tar/b.PY"), language_of("notes.unknown")
    ('dockerfile', 'python', '')
    """
    name = path.rpartition("/")[2].lower()
    if name in LANGUAGE_OF_NAME:
        return LANGUAGE_OF_NAME[name]
    stem, dot, ending = name.rpartition(".")
    if dot and ending in LANGUAGE_OF:
        return LANGUAGE_OF[ending] if stem else ""
    if name.startswith(("dockerfile.", "containerfile.")):
        return "dockerfile"
    return "makefile" if name.startswith("makefile.") else ""
