"""Comments are counted with their marks, and strings that look like them are not."""

import random

import pytest

from spanmix.text.filters.comments import count_comment_characters, has_comments
from spanmix.text.filters.encoded import find_encoded
from spanmix.text.filters.html_text import count_visible_characters

# language, code without comments, comments (a newline is put behind each piece)
CASES = {
    "python": (["x = '# no'", 'y = "\\"# no"', "z = f('''# no''')"], ["# yes",
     '"""A text."""', "    r'''Another'''"]),
    "c": (['char *s = "/* no */ // no";', "char c = '\"';"], ["// yes \" ", "/* yes\n * ' */", "/**/"]),
    "javascript": (["let a = `// no ${b}`;", "'/* no';"], ["// it's", "/* ` */"]),
    "rust": (["fn f<'a>(x: &'a str) {}", "let c = '\"'; let s = \"// no\n\";"], ["/// yes", "/* yes */"]),
    "go": (["s := `// no\n/* no`", "r := '\\''"], ["// yes", "/* ` */"]),
    "bash": (["echo $# ${x#y} 'a # no'", 'echo "# no\n# no"'], ["# yes", "  # it's"]),
    "sql": (["select '-- no', 'it''s'"], ["-- yes", "/* ' */"]),
    "lua": (["s = [[-- no]]", "t = '--no'"], ["-- yes", "--[[ yes\nyes ]]"]),
    "html": (["<p>a -- b</p>"], ["<!-- yes - -- yes -->"]),
    "haskell": (["f --> g = '\"'"], ["-- yes", "{- yes -}"]),
    "ruby": (['s = "#{x} # no"'], ["# yes", "=begin\nyes = 1\n=end"]),
    "php": (["#[Attribute]", "$s = '# no\n// no';"], ["# yes", "// yes", "/* yes */"]),
    "yaml": (["a: 'b # no'", "c: d#no"], ["# yes"]),
    "tex": (["100\\% no"], ["% yes"]),
}  # fmt: skip


def test_comments_are_counted_and_strings_are_not():
    choose = random.Random(0)
    tried = 0
    for language, (code, comments) in CASES.items():
        for _ in range(60):
            pieces = [*choose.choices(code, k=3), *choose.choices(comments, k=3)]
            choose.shuffle(pieces)
            expected = sum(len(piece.lstrip()) if piece in comments else 0 for piece in pieces)
            text = "".join(piece + "\n" for piece in pieces)
            # the blanks in front belong to no comment; of a text in three quotes, neither its prefix
            expected -= sum(piece.lstrip().startswith("r'''") for piece in pieces if piece in comments)
            assert count_comment_characters(text, language) == expected, (language, text)
            tried += 1
    assert tried == 60 * len(CASES)


def test_what_is_not_closed_reaches_to_the_end():
    assert count_comment_characters("a /* b", "c") == 4
    assert count_comment_characters('x = """ # no', "python") == 0
    assert count_comment_characters('s = "abc\n// yes', "c") == 6


def test_an_unknown_language_has_no_count():
    assert count_comment_characters("# x", "brainfuck") is None
    assert not has_comments("brainfuck") and has_comments("python")


@pytest.mark.parametrize(
    ("text", "num_bytes", "longest"),
    [
        ("aB3z" * 16, 64, 64),
        ("aB3z" * 15 + "aB3", 0, 0),
        ("deadbeef01" * 8, 80, 80),
        ("a" * 100 + "/" + "b" * 100, 0, 0),
        ("-" * 200, 0, 0),
        ("0x1f, " * 7 + "0x1f", 46, 46),
        ("0x1f, " * 6 + "0x1f", 0, 0),
        ("\\x1f" * 8, 32, 32),
        ("\\u001f" * 8, 48, 48),
        ("\\037" * 8, 32, 32),
        ("1f 2a 3b 4c 5d 6e 7f 80", 23, 23),
        ("10 20 30 40 50 60 70 80", 0, 0),
        ("'" + "aB3z" * 16 + "'\n    '" + "zB3a" * 16 + "'", 128, 135),
        ("'" + "aB3z" * 16 + "' and '" + "zB3a" * 16 + "'", 128, 64),
    ],
)
def test_encoded_pieces(text, num_bytes, longest):
    found = find_encoded(text.encode())
    assert (found.num_bytes, found.longest) == (num_bytes, longest)


@pytest.mark.parametrize(
    ("page", "visible"),
    [
        ("<p>a</p>", "a"),
        ("a<!-- <b> -->b", "ab"),
        ("<SCRIPT src=x>a</script >b", "b"),
        ("<style>a", ""),
        ("<script>a</script", ""),
        ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
        ("<scripture>x", "x"),
        ("İ<script>a</script>b", "İb"),
    ],
)
def test_visible_text(page, visible):
    assert count_visible_characters(page) == len(visible)
