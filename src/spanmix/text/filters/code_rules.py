"""The rules on files of code, and those on any file, cheap ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spanmix.text.filters.bounds import Bounds
from spanmix.text.filters.generated import generated_mark, header_mark
from spanmix.text.filters.lock_files import lock_file_name
from spanmix.text.filters.measures import longest_line
from spanmix.text.filters.minified import minified_mark
from spanmix.text.filters.per_extension import ENDINGS
from spanmix.text.filters.reading import Reading
from spanmix.text.filters.rules import Rule, above, at_least, at_most, below, none_of, one_of
from spanmix.text.filters.vendored import vendored_part

_DATA, _XML_HEADER, _XML_WITHIN = ("json", "yaml"), "<?xml version=", 100
UNKNOWN = "unknown"


def name_rules(bounds: Bounds) -> Iterator[Rule]:
    """Yield the rules on a document's language and path."""
    if bounds.languages is not None:
        yield one_of("languages", bounds.languages, "language not asked for", lambda r: r.language or UNKNOWN)
    if bounds.extensions is not None:
        yield one_of("extensions", bounds.extensions, "ending not asked for", lambda r: r.ending or None)
    if bounds.per_extension:
        yield none_of(
            "per_extension",
            "an ending that bigcode kept",
            "ending that bigcode left out",
            lambda r: r.ending if r.ending and r.ending not in ENDINGS else None,
        )
    if bounds.drop_lock_files:
        yield none_of("drop_lock_files", "none", "lock file", lambda r: lock_file_name(r.path))
    if bounds.drop_vendored:
        yield none_of("drop_vendored", "none", "vendored path", lambda r: vendored_part(r.path))


def size_rules(bounds: Bounds) -> Iterator[Rule]:
    """Yield the rules on how long a document is."""
    if (most := bounds.max_bytes) is not None:
        yield at_most("max_bytes", most, f"longer than {most:,} bytes", lambda r: len(r.data))
    if (least := bounds.min_characters) is not None:
        reason = f"shorter than {least:,} characters"
        yield at_least("min_characters", least, reason, lambda r: len(r.text))
    if (most := bounds.max_characters) is not None:
        yield at_most("max_characters", most, f"longer than {most:,} characters", lambda r: len(r.text))


def program_rules(bounds: Bounds) -> Iterator[Rule]:
    """Yield the rules on what no person wrote."""
    if bounds.drop_generated:
        yield none_of("drop_generated", "none", "generated file", lambda r: generated_mark(r.path, r.text))
    if bounds.drop_generated_headers:
        reason = "says that it is generated"
        yield none_of("drop_generated_headers", "none", reason, lambda r: header_mark(r.text))
    if bounds.drop_minified:
        yield none_of(
            "drop_minified", "none", "minified or source map", lambda r: minified_mark(r.path, r.text)
        )
    if (run := bounds.max_encoded_run) is not None:
        reason = f"encoded data of more than {run:,} bytes"
        yield at_most("max_encoded_run", run, reason, lambda r: r.encoded.longest, _encoded_excerpt)
    if (share := bounds.max_encoded_share) is not None:
        reason = f"share of encoded data above {share:g}"
        yield at_most("max_encoded_share", share, reason, _encoded_share, _encoded_excerpt)


def code_rules(bounds: Bounds, num_tokens: Callable[[str], int] | None) -> Iterator[Rule]:
    """Yield the rules on how code is written; the rule on tokens only if they can be counted."""
    yield from _markup_rules(bounds)
    yield from _line_rules(bounds)
    if (share := bounds.min_alphanumeric_share) is not None:
        reason = f"share of letters and digits below {share:g}"
        yield at_least("min_alphanumeric_share", share, reason, lambda r: r.alphanumeric_share)
    if (share := bounds.min_alphabetic_share) is not None:
        reason = f"share of letters below {share:g}"
        yield at_least("min_alphabetic_share", share, reason, lambda r: r.letter_share)
    if (share := bounds.max_digit_share) is not None:
        reason = f"share of hexadecimal digits above {share:g}"
        yield at_most("max_digit_share", share, reason, lambda r: r.hex_digit_share)
    if bounds.comment_share is not None:
        least, most = bounds.comment_share
        measure = _comment_share_in(bounds.comment_languages)
        yield above("comment_share", least, f"comment share of {least:g} or less", measure)
        yield below("comment_share", most, f"comment share of {most:g} or more", measure)
    if bounds.min_characters_per_token is not None and num_tokens is not None:
        for language, ratio in sorted(bounds.min_characters_per_token.items()):
            reason = f"fewer than {ratio:g} characters for each token of {language}"
            yield at_least("min_characters_per_token", ratio, reason, _token_length_in(language, num_tokens))


def _markup_rules(bounds: Bounds) -> Iterator[Rule]:
    if bounds.drop_xml:
        yield none_of("drop_xml", "none", "XML", _xml_header)
    if bounds.data_characters is not None:
        least, most = bounds.data_characters
        measure = _length_in(_DATA)
        yield at_least("data_characters", least, f"JSON or YAML below {least:,} characters", measure)
        yield at_most("data_characters", most, f"JSON or YAML above {most:,} characters", measure)
    if bounds.html_visible is not None:
        share, length = bounds.html_visible
        yield above("html_visible", share, f"share of visible text of {share:g} or less", _visible_share)
        yield above("html_visible", length, f"visible text of {length:g} characters or fewer", _visible)


def _line_rules(bounds: Bounds) -> Iterator[Rule]:
    if (longest := bounds.max_line_length) is not None:
        reason = f"line longer than {longest:,} characters"
        yield at_most(
            "max_line_length", longest, reason, lambda r: r.lines.longest, lambda r: longest_line(r.text)
        )
    mean = bounds.max_mean_line_length
    if mean is not None and bounds.mean_below:
        reason = f"mean line of {mean:g} characters or longer"
        yield below("max_mean_line_length", mean, reason, lambda r: r.lines.mean)
    elif mean is not None:
        reason = f"mean line longer than {mean:g} characters"
        yield at_most("max_mean_line_length", mean, reason, lambda r: r.lines.mean)


def _length_in(languages: tuple[str, ...]) -> Callable[[Reading], int | None]:
    return lambda r: len(r.text) if r.language in languages else None


def _comment_share_in(languages: tuple[str, ...]) -> Callable[[Reading], float | None]:
    return lambda r: r.comment_share if r.language in languages and r.text else None


def _token_length_in(language: str, num_tokens: Callable[[str], int]) -> Callable[[Reading], float | None]:
    def measure(reading: Reading) -> float | None:
        if reading.language != language or not reading.text:
            return None
        return len(reading.text) / max(num_tokens(reading.text), 1)

    return measure


def _xml_header(reading: Reading) -> str | None:
    if reading.language == "xslt" or reading.ending in ("xsl", "xslt"):
        return None
    return _XML_HEADER if _XML_HEADER in reading.text[:_XML_WITHIN] else None


def _visible(reading: Reading) -> int | None:
    return reading.visible_characters if reading.language == "html" else None


def _visible_share(reading: Reading) -> float | None:
    visible = _visible(reading)
    return None if visible is None else visible / max(len(reading.text), 1)


def _encoded_share(reading: Reading) -> float:
    return reading.encoded.num_bytes / max(len(reading.data), 1)


def _encoded_excerpt(reading: Reading) -> str:
    start = reading.encoded.start
    return reading.data[start : start + 1000].decode("utf-8", "replace")
