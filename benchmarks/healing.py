"""How often do the tokens around a cursor differ from those of the whole text, and does healing mend it?

    python benchmarks/healing.py [--files 184]

Cursors at random places of files of Python's standard library, ten a file, in CodeGen2's tokenizer.
*Differs*: the tokens of the text in front of the cursor and of that behind it are not the file's.
*Reachable*: an answer that begins as healing asks can be the file's own tokens. The last line is one JSON
object.
"""

import argparse
import json
import random
import statistics
import sysconfig
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spanmix.generate.healing import Healer, Opening
from spanmix.interchange.tokenizers import codegen2_tokenizer

CHARACTERS, CURSORS = 6_000, 10


def kind_of(text: str, cursor: int) -> str:
    """Say where a cursor stands."""
    if text[cursor - 1].isalnum() and text[cursor].isalnum():
        return "inside a word"
    return "behind a blank" if text[cursor - 1].isspace() else "elsewhere"


def is_reachable(true_ids: Sequence[int], kept_ids: Sequence[int], opening: Opening) -> bool:
    """Say whether an answer behind the kept tokens may go on with the file's own."""
    if list(true_ids[: len(kept_ids)]) != list(kept_ids):
        return False
    answer: tuple[int, ...] = ()
    for token in true_ids[len(kept_ids) :]:
        if answer not in opening.next_ids:
            return True
        if token not in opening.next_ids[answer]:
            return False
        answer += (token,)
    return True


def main() -> None:
    """Count, and print a row for each kind of place."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=184)
    args = parser.parse_args()
    tokenizer, drawn = codegen2_tokenizer(), random.Random(1)
    healer = Healer(tokenizer)
    paths = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    counts: dict[str, Counter[str]] = {}
    milliseconds: list[float] = []
    for path in drawn.sample(paths, min(args.files, len(paths))):
        text = path.read_text(encoding="utf-8", errors="ignore")[:CHARACTERS]
        if len(text) < 200:
            continue
        true_ids = tokenizer.encode(text)
        for cursor in (drawn.randrange(1, len(text)) for _ in range(CURSORS)):
            ids = tokenizer.encode(text[:cursor])
            started = time.thread_time()
            kept_ids, opening = healer.heal(ids)
            milliseconds.append(1e3 * (time.thread_time() - started))
            differs = ids + tokenizer.encode(text[cursor:]) != true_ids
            for kind in ("all", kind_of(text, cursor)):
                count = counts.setdefault(kind, Counter())
                count["cursors"] += 1
                count["differ"] += differs
                count["without"] += differs and true_ids[: len(ids)] == ids
                count["with"] += differs and is_reachable(true_ids, kept_ids, opening)
                count["taken back"] += len(ids) - len(kept_ids)
    for kind, count in counts.items():
        print(
            f"{kind:15}{count['cursors']:6} cursors, {count['differ'] / count['cursors']:6.1%} differ, "
            f"of these reachable {count['without'] / max(1, count['differ']):6.1%} without and "
            f"{count['with'] / max(1, count['differ']):6.1%} with; "
            f"{count['taken back'] / count['cursors']:.2f} tokens taken back"
        )
    print(json.dumps({"counts": counts, "median_ms": round(statistics.median(milliseconds), 2)}))


if __name__ == "__main__":
    main()
