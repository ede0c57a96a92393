"""An author takes exactly the lines that are theirs, and a key is counted once."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spanmix.evaluate.replay.author import accepted, author_lines, without_end

LINE = st.tuples(
    st.sampled_from(["", "  ", "a", "    b = 1", "\tc()", "}"]), st.sampled_from(["\n", "\n", "\r\n"])
)
LINES = st.lists(LINE, min_size=1, max_size=8)
FEW = st.lists(LINE, max_size=2)


def text_of(lines, has_end):
    text = "".join(line + end for line, end in lines)
    return text if has_end else text.removesuffix("\n").removesuffix("\r")


def test_keys_are_characters_without_indentation_and_line_ends():
    lines = author_lines("b):\n    return 'a  b'\n\n  \r\n\tx = 1  \r\nend", "def f(a, ")
    assert [line.num_keys for line in lines] == [4, 14, 1, 1, 8, 3]
    assert [line.is_blank for line in lines] == [False, False, True, True, False, False]
    assert author_lines("    x", "")[0].num_keys == author_lines("    x", "y\n")[0].num_keys == 1
    assert author_lines("    x", "y")[0].num_keys == 5  # not at the beginning of a line


@given(LINES, st.booleans(), st.sampled_from(["", "x\n", "x"]))
def test_lines_are_all_that_was_typed(lines, has_end, behind):
    typed = text_of(lines, has_end)
    found = author_lines(typed, behind)
    assert "".join(line.text for line in found) == typed
    assert [typed[line.start : line.start + len(line.text)] for line in found] == [
        line.text for line in found
    ]


def test_what_is_accepted_is_the_longest_common_beginning_of_whole_lines():
    met = Counter()

    @given(
        st.one_of(FEW, LINES), FEW, LINES, st.booleans(), st.booleans(), st.sampled_from(["", "\n", "\r\n"])
    )
    def check(same, mine, theirs, mine_ends, theirs_ends, own_end):
        proposal = text_of([(line, own_end or end) for line, end in same] + mine, mine_ends)
        lines = author_lines(text_of(same + theirs, theirs_ends), "")
        if not lines or lines[0].is_blank:
            return
        taken = accepted(proposal, lines)
        offered = proposal.split("\n")
        if offered[-1] == "":
            offered.pop()
        num_lines = 0
        while num_lines < min(len(offered), len(lines)) and offered[num_lines].removesuffix(
            "\r" if num_lines < proposal.count("\n") else ""
        ) == without_end(lines[num_lines].text):
            num_lines += 1
        while num_lines and not lines[num_lines - 1].text.strip():
            num_lines -= 1
        assert taken.num_lines == num_lines
        keys = sum(line.num_keys for line in lines[:num_lines])
        end_is_missing = (
            num_lines > 0 and lines[num_lines - 1].text.endswith("\n") and proposal.count("\n") < num_lines
        )
        assert taken.num_saved == keys - num_lines - end_is_missing
        assert 0 <= taken.num_saved < max(1, keys)
        met["nothing"] += num_lines == 0
        met["one"] += num_lines == 1
        met["several"] += num_lines > 2
        met["all of the proposal"] += num_lines == len(offered)
        met["end is missing"] += end_is_missing
        met["line ends differ"] += num_lines > 0 and ("\r\n" in proposal) != any(
            "\r\n" in line.text for line in lines
        )

    check()
    assert len(met) == 6 and min(met.values()) >= 5, met


def test_examples():
    lines = author_lines("    x = f(a)\n\n    y = 1\n", "")
    assert accepted("    x = f(a)\n", lines).num_lines == 1
    assert accepted("    x = f(a)\n\n", lines).num_lines == 1  # the blank line is a key either way
    assert accepted("    x = f(a)\n\n    y = 1\n    z", lines).num_lines == 3
    for proposal in ("", "\n", "x = f(a)\n", "    x = f(a) \n", "    x = f(a)b\n", "\n    x = f(a)\n"):
        assert accepted(proposal, lines).num_lines == 0, proposal
    inside = author_lines(", b", "f(a")
    assert (accepted(", b", inside).num_saved, accepted(", b\nmore", inside).num_saved) == (2, 2)
    assert accepted(", b)", inside).num_lines == 0
