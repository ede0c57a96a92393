"""Write the part of a run's report that says how much of what the model writes is copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanmix import html
from spanmix.html import Html
from spanmix.text.trace.matches import where

_SIDES = {"train": "training documents", "held_out": "held-out documents"}
_SHOWN_CHARACTERS = 1200


def memorization_section(results: Mapping[str, Any]) -> Html:
    """Return the table, what it means, and the longest copies; nothing if nothing was measured.

    Args:
        results: what `spanmix.evaluate.results.gather` returned, or ``results.json`` read back.
    """
    found = results.get("memorization", [])
    if not found:
        return Html("")
    headings = (
        "Prompts from",
        "Completions",
        "Tokens written",
        "Copied",
        "The documents themselves",
        "Recited",
        "Longest copy, bytes",
    )
    caption = f"Tokens in copies of at least {found[0]['min_tokens']} tokens in a row"
    table = html.table(headings, [_row(one) for one in found], caption=caption)
    copies = [_copy(one, copy) for one in found for copy in one["copies"]]
    return html.join([_explained(found[0]["min_tokens"]), table, _copies(copies)])


def _row(one: Mapping[str, Any]) -> list[Html]:
    number = 0 if one["recited"] is None else round(one["recited"]["value"] * one["num_recitable"])
    return [
        html.text(f"{one['source']}, {_SIDES[one['side']]}"),
        html.text(f"{one['num_completions']:,}"),
        html.text(f"{one['num_tokens']:,}"),
        _percent(one["memorized"]),
        _percent(one["really"]),
        html.text(f"{number:,} of {one['num_recitable']:,}"),
        html.text(f"{one['longest_bytes']:,}"),
    ]


def _percent(interval: Mapping[str, float] | None) -> Html:
    if interval is None:
        return html.text("–")
    return html.figure_with_range(*(f"{100 * interval[end]:.2f} %" for end in ("value", "low", "high")))


def _explained(least: int) -> Html:
    return html.join(
        [
            html.paragraph(
                "The model goes on from places inside of documents, greedily, and what it writes is looked "
                f"up in all training documents. A token is copied if it lies in a row of {least} or more "
                "that some training document holds, byte for byte; the prompt is no part of it."
            ),
            html.paragraph(
                "How the documents go on is the measure to compare with. People copy too: of held-out "
                "documents, which the model has never seen, the column “the documents themselves” is what "
                "such code has in common with the training documents. A model that copies less than that "
                "writes no more by heart than people do; one that copies more has learned by heart. For "
                "training documents the column is near 100 % by itself, and how near the model comes to it "
                "is how much it gives back of what it is asked for. Recited are the completions that begin "
                f"with the very {least} tokens which come next in the document, of the documents that go on "
                "so long."
            ),
        ]
    )


def _copies(copies: list[Html]) -> Html:
    if not copies:
        return html.paragraph("No completion holds a copy that counts.", note=True)
    words = (
        "The longest copies, each once, with the first place where it stands in the training documents. What "
        "stands in many places is what everybody writes, or a licence."
    )
    return html.join([html.paragraph(words), html.columns(copies)])


def _copy(one: Mapping[str, Any], copy: Mapping[str, Any]) -> Html:
    text = copy["text"]
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + " …"
    places = f"{copy['num_occurrences']:,} place" + ("s" if copy["num_occurrences"] > 1 else "")
    licences = dict.fromkeys(file["licence"] or "licence unknown" for file in copy["files"])
    note = (
        f"{copy['num_tokens']:,} tokens, {places}, {', '.join(licences)}; prompt from {copy['prompt']} "
        f"({one['source']}, {_SIDES[one['side']]})"
    )
    title = ", ".join(where(file.get("repository", ""), file["path"], file["line"]) for file in copy["files"])
    return html.code([(shown, "infill")], title=title, note=note)
