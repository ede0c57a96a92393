"""Write what a report says of one lesson: the question, the answer, effects, findings, runs and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import mean

from spanmix.charts import Series, line_chart
from spanmix.lessons.blocks import Block, Cell, Link, Paragraph, Plot, Section, Table
from spanmix.lessons.collected import Collected
from spanmix.lessons.parts import TASK_ENDPOINTS, Claim
from spanmix.lessons.plots import Bar, Point, forest, scatter
from spanmix.lessons.records import recipe_file, run_file
from spanmix.lessons.statistics import Effect
from spanmix.lessons.suite import Suite
from spanmix.lessons.verdicts import Judged, LessonVerdict, columns, endpoint_effect

_ENDPOINT_WORDS = {
    "code": "code, left to right",
    "prose": "prose, left to right",
    "middle": "middles, suffix shown",
    "middle_single_line": "single lines, suffix shown",
    "middle_multi_line": "several lines, suffix shown",
}
_BASIS_WORDS = {"found": "the paper's", "suspected": "suspected by its authors", "own": "ours"}
_SHOWN = ("code", "prose", "middle")
_SHARES = ("accuracy", "majority", "surface")


def lesson_section(verdict: LessonVerdict, collected: Collected, suite: Suite) -> Section:
    """Return the section of a lesson."""
    lesson = verdict.lesson
    blocks: list[Block] = [Paragraph(lesson.question), *_answer(verdict)]
    blocks += _forests(verdict)
    if verdict.claims:
        blocks.append(_claims(verdict.claims))
    blocks += _plots(verdict, collected)
    blocks.append(
        Table(
            "What the paper found",
            ("Finding", "Figure", "Known from"),
            tuple((one.text, one.figure, one.source) for one in lesson.found),
            label_columns=3,
        )
    )
    blocks.append(Paragraph(lesson.measured, note=True))
    arms = [arm for arm in lesson.arms if arm in collected.keys]
    if arms:
        blocks.append(_arms(arms, collected, suite))
    if any(one.claim.endpoint in TASK_ENDPOINTS for one in verdict.claims):
        blocks += _tuned(collected)
    return Section(f"Lesson {lesson.number}: {lesson.title}", tuple(blocks))


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign.

    >>> signed(-0.0123)
    '−0.012'
    """
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _answer(verdict: LessonVerdict) -> Iterator[Block]:
    leading = verdict.leading
    words = "No claim has all of its arms at this scale."
    if leading is not None and leading.effect is None:
        words = f"{leading.claim.text} None of the seeds has all runs yet."
    elif leading is not None and leading.effect is not None:
        effect = leading.effect
        words = (
            f"{leading.claim.text} {_effect_words(leading, effect)}, over {len(leading.seeds)} seeds and "
            f"{effect.num_files} files; the claim's bound is {_bound(leading.bound)}."
        )
    yield Paragraph(words, strong=f"{verdict.verdict.capitalize()}.")


def _effect_words(judged: Judged, effect: Effect) -> str:
    unit = "of the answers" if judged.claim.endpoint in TASK_ENDPOINTS else "bits per byte"
    words = f"The effect is {signed(effect.value)} {unit}"
    if effect.low is None or effect.high is None or effect.mde is None:
        return f"{words}, with too few seeds for an interval"
    return f"{words} [{signed(effect.low)}, {signed(effect.high)}], detectable from {effect.mde:.3f} on"


def _bound(value: float) -> str:
    return signed(value) if value else "0"


def _forests(verdict: LessonVerdict) -> Iterator[Block]:
    for unit, is_task in (("bits per byte", False), ("share of right answers", True)):
        bars = [
            Bar(
                f"{one.claim.name}: {_what(one.claim)}",
                one.effect.value,
                one.effect.low,
                one.effect.high,
                one.bound,
                one.claim.side,
                one.verdict,
            )
            for one in verdict.claims
            if one.effect is not None and (one.claim.endpoint in TASK_ENDPOINTS) == is_task
        ]
        if bars:
            yield Plot(forest(bars, title=f"Lesson {verdict.lesson.number}: effects", unit=unit))


def _contrast_words(contrast: dict[str, float]) -> str:
    """Write a contrast as people do.

    >>> _contrast_words({"mixture": 1, "causal": -0.75, "prose": -0.25})
    'mixture − 0.75 causal − 0.25 prose'
    """
    parts = []
    for arm, weight in contrast.items():
        sign = "\N{MINUS SIGN}" if weight < 0 else "+"
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        parts.append(f"{sign} {size}{arm}")
    return " ".join(parts).removeprefix("+ ")


def _what(claim: Claim) -> str:
    """Say what is compared on what."""
    endpoint = _ENDPOINT_WORDS.get(claim.endpoint, claim.endpoint.replace("_", ", read "))
    return f"{_contrast_words(claim.effect)} ({endpoint})"


def _claims(claims: Sequence[Judged]) -> Table:
    rows = []
    for one in claims:
        effect = one.effect
        interval = mde = value = "–"
        if effect is not None:
            value = signed(effect.value, 4)
            if effect.low is not None and effect.high is not None and effect.mde is not None:
                interval = f"{signed(effect.low, 4)} to {signed(effect.high, 4)}"
                mde = f"{effect.mde:.4f}"
        bound = f"{'below' if one.claim.side == 'less' else 'above'} {_bound(one.bound)}"
        words = (one.claim.text, _BASIS_WORDS[one.claim.basis], _what(one.claim))
        rows.append((*words, one.verdict, bound, value, interval, mde))
    header = ("Claim", "Whose", "Contrast", "Verdict", "If true", "Effect", "95 %", "Detectable")
    return Table("Claims", header, tuple(rows), label_columns=4)


def _arms(arms: Sequence[str], collected: Collected, suite: Suite) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for arm in arms:
        seeds = collected.seeds_of([arm])
        runs = [collected.runs[arm, seed] for seed in seeds]
        figures = [_mean(collected, arm, seeds, endpoint) for endpoint in _SHOWN]
        share = f"{100 * mean(run.tokens / run.positions for run in runs):.0f} %" if runs else "–"
        epochs = ", ".join(f"{name} {times:.2g}" for name, times in runs[0].epochs.items()) if runs else "–"
        key, folder = collected.keys[arm], collected.scale.name
        links = tuple(Link(f"{seed}", f"{folder}/{run_file(key, seed)}") for seed in seeds)
        recipe = Link(arm, f"{folder}/{recipe_file(key)}")
        rows.append((recipe, suite.arms[arm].about, *figures, share, epochs, links or "none"))
    header = ("Arm, its recipe", "What it is", "Code", "Prose", "Middles", "With loss", "Epochs", "Seeds")
    caption = "Runs: bits per byte, means over seeds; each seed leads to its figures"
    return Table(caption, header, tuple(rows), label_columns=2)


def _mean(collected: Collected, arm: str, seeds: Sequence[int], endpoint: str) -> str:
    value = mean_of(collected, arm, seeds, endpoint)
    return "–" if value is None else f"{value:.3f}"


def _tuned(collected: Collected) -> Iterator[Block]:
    """List how often fine-tuned models were right, beside what knows nothing of the texts."""
    asked = collected.scale.understanding
    assert asked is not None, "a claim is about it"
    for task in asked.tasks:
        rows: list[tuple[Cell, ...]] = []
        for arm in asked.arms:
            for seen in asked.representations:
                keys = [(arm, seed, task, seen) for seed in collected.scale.seeds]
                found = [collected.tasks[key] for key in keys if key in collected.tasks]
                if found:
                    shares = [mean(getattr(one, name) for one in found) for name in _SHARES]
                    links = tuple(
                        Link(f"{one.seed}", f"{collected.scale.name}/{one.file_name}") for one in found
                    )
                    rows.append((arm, seen, *(f"{100 * share:.1f} %" for share in shares), links))
        if rows:
            header = ("Arm", "Read", "Right", "Always the same", "Counting alone", "Seeds")
            caption = f"Fine-tuned on {task}: share of right answers, means over seeds"
            yield Table(caption, header, tuple(rows), label_columns=2)


def mean_of(collected: Collected, arm: str, seeds: Sequence[int], endpoint: str) -> float | None:
    """Return the mean over seeds of an arm's bits per byte; None without a seed."""
    if not seeds:
        return None
    found = [columns(collected, arm, seed, endpoint) for seed in seeds]
    return mean(float(bits.sum() / size.sum()) for _, size, bits in found)


def _plots(verdict: LessonVerdict, collected: Collected) -> Iterator[Block]:
    lesson = verdict.lesson
    arms = [arm for arm in lesson.plotted if arm in collected.keys and collected.seeds_of([arm])]
    if lesson.plot == "exchange":
        yield from _exchange(lesson.number, arms, collected)
    elif lesson.plot == "curves":
        for source in ("code", "prose"):
            series = [_curve(collected, arm, source) for arm in arms]
            drawn = [one for one in series if one.x]
            if drawn:
                title = f"Lesson {lesson.number}: held-out {source} while training"
                chart = line_chart(drawn, title=title, x_label="tokens with loss", y_label="bits per byte")
                yield Plot(chart)
    elif lesson.plot == "epochs":
        yield from _epochs(lesson.number, arms, collected)


def _exchange(number: int, arms: Sequence[str], collected: Collected) -> Iterator[Block]:
    """Draw and list what each arm loses left to right and gains in the middle, against the first one."""
    points: list[Point] = []
    rows: list[tuple[Cell, ...]] = []
    for arm in arms[1:]:
        seeds = collected.seeds_of([arms[0], arm])
        if not seeds:
            continue
        code, middle = (
            endpoint_effect(collected, {arm: 1, arms[0]: -1}, endpoint, seeds)
            for endpoint in ("code", "middle")
        )
        points.append(Point(arm, _ends(code), _ends(middle)))
        is_loss = code.low is not None and code.low > 0
        rate = f"{-middle.value / code.value:.2f}" if is_loss else "–"
        rows.append((arm, signed(code.value), signed(middle.value), rate))
    if points:
        labels = (
            f"code left to right, minus {arms[0]}",
            f"middles, suffix shown, minus {arms[0]}; bits per byte",
        )
        title = f"Lesson {number}: what is lost and what is gained"
        yield Plot(scatter(points, title=title, x_label=labels[0], y_label=labels[1]))
        caption = (
            f"Against {arms[0]}; the rate is what middles gain for each bit that code loses, if it loses any"
        )
        yield Table(caption, ("Arm", "Code", "Middles", "Rate"), tuple(rows))


def _ends(effect: Effect) -> tuple[float, float, float]:
    if effect.low is None or effect.high is None:
        return effect.value, effect.value, effect.value
    return effect.value, effect.low, effect.high


def _curve(collected: Collected, arm: str, source: str) -> Series:
    """Return the mean over seeds of an arm's held-out bits on the way."""
    curves = [collected.runs[arm, seed].curve for seed in collected.seeds_of([arm])]
    points = [
        (mean(point["tokens"] for point in places), mean(point[source] for point in places))
        for places in zip(*curves, strict=True)
        if all(source in point for point in places)
    ]
    return Series(arm, [x for x, _ in points], [y for _, y in points])


def _epochs(number: int, arms: Sequence[str], collected: Collected) -> Iterator[Block]:
    """Draw code bits against the number of times that the files were read, one line for each kind of arm."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for arm in arms:
        seeds = collected.seeds_of([arm])
        times = mean(collected.runs[arm, seed].epochs["code"] for seed in seeds)
        value = mean_of(collected, arm, seeds, "code")
        assert value is not None
        for name in _lines_of(arm):
            lines.setdefault(name, []).append((times, value))
    series = [
        Series(name, [x for x, _ in sorted(points)], [y for _, y in sorted(points)])
        for name, points in lines.items()
        if len(points) > 1
    ]
    if series:
        title = f"Lesson {number}: epochs"
        yield Plot(
            line_chart(series, title=title, x_label="times that code was read", y_label="code, bits per byte")
        )


def _lines_of(arm: str) -> tuple[str, ...]:
    """Return the lines that an arm is a point of; what has read everything once is one of several."""
    kind = arm.rpartition("-")[2]
    if arm == "mixture":
        return "corrupted anew", "corrupted the same way"
    if arm == "causal" or kind == "causal":
        return ("next-token prediction alone",)
    if kind == "fixed":
        return ("corrupted the same way",)
    if arm.startswith("grow-"):
        return ("a sixteenth, growing compute",)
    return ("corrupted anew", "a sixteenth, growing compute") if arm == "epochs-16" else ("corrupted anew",)
