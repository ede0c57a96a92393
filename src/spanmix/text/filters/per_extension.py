"""The endings of file names that bigcode looked at, and what it decided for each.

Facts of ``preprocessing/visual_inspection.csv`` of bigcode-project/bigcode-dataset (commit bebec92), which
StarCoderData was filtered with. An ending that is not in the table is left out, as there; so is ``rkt``,
whose row says in words that it should be kept but lacks the mark. Rows of makefiles and Dockerfiles without
an ending are not here: a name without ending has no row to look for.
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL_LINE, USUAL_MEAN, USUAL_ALPHANUMERIC = 1000, 100, 0.25


@dataclass(frozen=True)
class EndingBounds:
    """What holds for files with an ending; None where nothing is asked.

    Args:
        max_line_length: the longest line in characters.
        max_mean_line_length: the mean line in characters.
        min_alphanumeric_share: letters and digits among the characters.
        min_alphabetic_share: letters among the characters.
    """

    max_line_length: int | None = USUAL_LINE
    max_mean_line_length: float | None = USUAL_MEAN
    min_alphanumeric_share: float | None = USUAL_ALPHANUMERIC
    min_alphabetic_share: float | None = None


_KEPT_TEXT = """
1 3 _coffee a51 ada adb ado adp ads agda als applescript asd asm aug auk awk bas bash bat bats bbx bib boot
bsv builder bzl c c++ cake cbx cc cjsx clj cljc cljs cljx cmake cmd coffee command cp cpp cql cs csh cshtml
cson css ctp cu cuh cxx dart db2 ddl dfm do dockerfile doh dtx el eliom eliomi elm emacs erl es6 escript ex
exs f f03 f08 f90 f95 for fp fpp frag frm fs fsh fshader fsi fsx fun g4 gawk gemspec geom glsl glslv go
groovy gtpl gvy gyp h h++ hh hlean hpp hrl hs hsc htm html hxx iced idr inl ins ipp java jbuilder jl js jsm
json jsp ksh kt kts lagda lbx lean lhs lidr lisp litcoffee lpr lsp lua ma mak markdown mata matah
mathematica matlab mawk md mk mkd mkdn mkii mkiv mkvi ml ml4 mli mll mly mpl mt mustache nasm nawk nb nse ny
pac pas perl php phpt pkb pks pl plb plsql pm podspec prc prolog proto ps1 psd1 psgi psm1 py pyde pyw r rabl
rake rb rbw rd rmd ron rq rs rst rsx ru ruby sas sbt scala scm scpt scrbl sh shader sjs sld sml sol sparql
sps sql st stan sty sv svh t tcc tcl tcsh tex thor thrift thy tm tmux tool tpp ts tsx txt udf vb vba vbhtml
vbs veo vert vh vhd vhdl vhi vho vhw vsh vshader wl wlua xht xhtml xsjslib xsl xslt y yacc yaml yap yml yrl
zig zsh
"""
_KEPT = _KEPT_TEXT.split()
_NO_LINE_BOUND_TEXT = """
ado asm bbx bib bsv cbx cmake do dtx frm ins json lbx ma markdown matlab md mkd mkdn mkii mkiv mkvi nb r rmd
ron rst sql sty tex
"""
_NO_LINE_BOUND = _NO_LINE_BOUND_TEXT.split()
_NO_ALPHANUMERIC_BOUND = ["frm", "ma", "nb", "sas"]
_QUARTER_LETTERS = [
    "ads",
    "aug",
    "bas",
    "fp",
    "ma",
    "matlab",
    "mpl",
    "nb",
    "prc",
    "scm",
    "sld",
    "sps",
    "sv",
    "vhd",
    "wl",
    "y",
]
_HALF_LETTERS = ["json", "yaml", "yml"]


def _bounds(ending: str) -> EndingBounds:
    has_lines = ending not in _NO_LINE_BOUND
    letters = {**dict.fromkeys(_QUARTER_LETTERS, 0.25), **dict.fromkeys(_HALF_LETTERS, 0.5)}
    return EndingBounds(
        (500 if ending == "fsh" else USUAL_LINE) if has_lines else None,
        USUAL_MEAN if has_lines else None,
        None if ending in _NO_ALPHANUMERIC_BOUND else USUAL_ALPHANUMERIC,
        letters.get(ending),
    )


ENDINGS = {ending: _bounds(ending) for ending in _KEPT}
"""By ending without the dot, in lower case."""
