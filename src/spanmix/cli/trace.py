"""``spanmix trace``: which parts of a text stand word for word in a corpus's training documents, and
where."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.amounts import share
from spanmix.cli.arguments import add_json, add_verb, text, utf8_name, whole_number
from spanmix.cli.files import read_file
from spanmix.cli.terminal import Progress, paragraph, print_json, print_table, tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.text.trace.index import TraceIndex
    from spanmix.text.trace.layout import IndexRecord
    from spanmix.text.trace.matches import FilePlace, Match, Traced

EXAMPLE = """
spanmix trace --corpus corpora/mine --build
spanmix trace answer.py --corpus corpora/mine --min-bytes 60
spanmix complete runs/mine file.py | spanmix trace - --corpus corpora/mine --json
"""
MARKS = ("⟦", "⟧")
COLORS = ("\x1b[1;31m", "\x1b[0m")
MOST_FILES = 5
"""Files that are listed of one place; a text that holds a whole repository may stand in hundreds."""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "trace", "find the parts of a text that stand word for word in the training data", EXAMPLE, run
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="the text to look up; - for stdin")
    parser.add_argument("--text", type=text, metavar="TEXT", help="the text to look up, instead of FILE")
    parser.add_argument("--corpus", type=utf8_name, required=True, metavar="CORPUS", help="made by prepare")
    parser.add_argument(
        "--min-bytes", type=whole_number(1), default=40, metavar="N", help="shortest match (%(default)s)"
    )
    parser.add_argument(
        "--top",
        type=whole_number(1),
        default=20,
        metavar="K",
        help="matches to list, the longest first (%(default)s)",
    )
    parser.add_argument(
        "--places", type=whole_number(0), default=3, metavar="N", help="places to list of each (%(default)s)"
    )
    _add_building(parser)
    add_json(parser)


def _add_building(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the index")
    group.add_argument(
        "--build",
        action="store_true",
        help="build it first, go on where building was ended, or mend what is damaged",
    )
    group.add_argument(
        "--shortest-bytes",
        type=whole_number(1),
        metavar="N",
        help="with --build: shortest match that it finds (16); fewer make it larger",
    )
    group.add_argument(
        "--shard-mb",
        type=whole_number(1),
        metavar="N",
        help="with --build: MB of text that are sorted at once (128), with nine times as much memory",
    )


def run(args: argparse.Namespace) -> None:
    """Build the index if that is asked for; look up the text and print it with what was found of it."""
    if args.file is not None and args.text is not None:
        raise InputError("give either FILE (- for stdin) or --text TEXT")
    if args.file is None and args.text is None and not args.build:
        raise InputError("give FILE (- for stdin) or --text TEXT, or --build to build the index alone")
    if not args.build and (args.shortest_bytes or args.shard_mb):
        raise InputError("--shortest-bytes and --shard-mb say how to build the index; give them with --build")
    asked = args.text if args.file is None else read_file(args.file).text
    record = _build(args) if args.build else None
    if asked is None:
        assert record is not None
        _print_index(args, record)
        return
    from spanmix.text.trace.index import TraceIndex

    index = TraceIndex.open(args.corpus)
    traced = index.trace(asked, args.min_bytes, max_occurrences=args.places)
    if args.json:
        print_json(_as_json(args, index, asked, traced))
        return
    num_bytes = len(asked.encode("utf-8"))
    if num_bytes < args.min_bytes:
        tell(f"the text has {num_bytes} bytes, and matches of {args.min_bytes} and more are looked for")
    _print_found(asked, traced, args.top)


def _build(args: argparse.Namespace) -> IndexRecord:
    from spanmix.text.trace.build import STAGE, build_index
    from spanmix.text.trace.layout import IndexSettings

    settings = None
    if args.shortest_bytes is not None or args.shard_mb is not None:
        plain = IndexSettings()
        settings = IndexSettings(
            plain.shortest_bytes if args.shortest_bytes is None else args.shortest_bytes,
            plain.shard_mb if args.shard_mb is None else args.shard_mb,
        )
    with Progress(units={STAGE: "bytes"}) as progress:
        return build_index(Path(args.corpus), settings, progress)


def _print_index(args: argparse.Namespace, record: IndexRecord) -> None:
    facts = {
        "corpus": args.corpus,
        "corpus_fingerprint": record.corpus,
        "shortest_bytes": record.settings.shortest_bytes,
        "text_bytes": record.num_bytes,
        "index_bytes": record.size,
        "shards": len(record.shards),
    }
    if args.json:
        print_json(facts)
        return
    print(
        f"{args.corpus}: indexed {record.num_bytes:,} bytes of text (shards: {len(record.shards)}), "
        f"{record.size:,} bytes on the disk; finds every match of {record.settings.shortest_bytes} bytes and "
        "more"
    )


def _as_json(args: argparse.Namespace, index: TraceIndex, asked: str, traced: Traced) -> dict[str, Any]:
    import dataclasses

    longest = traced.longest
    return {
        "corpus": args.corpus,
        "corpus_fingerprint": index.record.corpus,
        "min_bytes": args.min_bytes,
        "text_bytes": len(asked.encode("utf-8")),
        "matched_bytes": _matched_bytes(traced),
        "longest_bytes": 0 if longest is None else longest.num_bytes,
        "matches": [dataclasses.asdict(match) for match in traced.matches],
    }


def _print_found(asked: str, traced: Traced, top: int) -> None:
    from spanmix.control_pictures import printable

    is_terminal = sys.stdout.isatty()
    spans = _united([(match.start_character, match.last_end_character) for match in traced.matches])
    shown = marked(asked, spans, COLORS if is_terminal else MARKS, printable if is_terminal else str)
    print(shown, end="" if shown.endswith("\n") else "\n")
    if not traced.matches:
        print("no match", file=sys.stderr)
        return
    print()
    passages = _passages(asked, traced)
    header = ["where", "licence", "text line", "bytes", "occurrences"]
    with_times = any(_times(matches) > 1 for matches in passages)
    if with_times:
        header.append("times")
    rows = [row for matches in passages[:top] for row in _rows(asked, matches, len(header))]
    print_table(header, rows)
    if with_times:
        print("times: so often the match stands in the text, at first in this line")
    if len(passages) > top:
        print(f"not listed: {len(passages) - top:,} no longer than these; --top {len(passages)} lists all")
    total, matched = len(asked.encode("utf-8")), _matched_bytes(traced)
    print(f"{matched:,} of {total:,} bytes ({share(matched, total)}) stand in training documents")


def _matched_bytes(traced: Traced) -> int:
    spans = _united([(match.start, match.last_end) for match in traced.matches])
    return sum(end - start for start, end in spans)


def _passages(asked: str, traced: Traced) -> list[list[Match]]:
    """Return the matches of each text, so that every text is listed once, the longest first."""
    by_text: dict[str, list[Match]] = {}
    for match in traced.matches:
        by_text.setdefault(asked[match.start_character : match.end_character], []).append(match)
    return sorted(by_text.values(), key=lambda matches: (-matches[0].num_bytes, matches[0].start))


def _times(matches: list[Match]) -> int:
    return sum(match.num_repeats for match in matches)


def _rows(asked: str, matches: list[Match], num_columns: int) -> list[list[str]]:
    """One line for each place of the same matches; what is the same for all stands in the first."""
    match = matches[0]
    line = asked.count("\n", 0, match.start_character) + 1
    numbers = (line, match.num_bytes, match.num_occurrences, _times(matches))
    facts = [f"{number:,}" for number in numbers[: num_columns - 2]]
    first, *others = [place for one in match.occurrences for place in _places(one.files)] or [["", ""]]
    return [[*first, *facts], *([*place, *[""] * len(facts)] for place in others)]


def _places(files: Sequence[FilePlace]) -> list[list[str]]:
    """Name the files that one occurrence stands in, each with its licence."""
    from spanmix.text.trace.matches import where

    places = [
        [
            paragraph(f"{'' if number == 0 else '+ '}{where(file.repository, file.path, file.line)}"),
            file.licence or "unknown",
        ]
        for number, file in enumerate(files[:MOST_FILES])
    ]
    if len(files) > MOST_FILES:
        places.append([f"+ {len(files) - MOST_FILES:,} more files", ""])
    return places


def _united(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that overlap or touch.

    >>> _united([(0, 4), (2, 6), (6, 7), (9, 10)])
    [(0, 7), (9, 10)]
    """
    united: list[tuple[int, int]] = []
    for start, end in spans:
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


def marked(
    asked: str, spans: list[tuple[int, int]], marks: tuple[str, str], show: Callable[[str], str] = str
) -> str:
    """Return a text with marks around the spans, in characters, of which none overlap; `show` changes the
    rest.

    >>> marked("one two three", [(4, 7)], ("[", "]"))
    'one [two] three'
    """
    shown = []
    done = 0
    for start, end in spans:
        shown += [show(asked[done:start]), marks[0], show(asked[start:end]), marks[1]]
        done = end
    return "".join([*shown, show(asked[done:])])
