"""Name the language that people speak in which a text is written, with py3langid.

Only samples are read, so a long book costs as much as a page: about one millisecond. The package (BSD
licence) holds its model; its answer depends on the text alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from spanmix.errors import SpanmixError

_SAMPLE, _NUM_SAMPLES = 300, 3


def prose_language(text: str) -> tuple[str, float]:
    """Return the ISO 639-1 code of a text's language and how sure that is, from 0 to 1.

    Raises:
        SpanmixError: py3langid is not installed.
    """
    code, confidence = _identifier().classify(_samples(text))
    return str(code), float(confidence)


@cache
def prose_languages() -> frozenset[str]:
    """Return the codes that `prose_language` can answer.

    Raises:
        SpanmixError: py3langid is not installed.
    """
    return frozenset(map(str, _identifier().nb_classes))


def _samples(text: str) -> str:
    if len(text) <= _SAMPLE * _NUM_SAMPLES:
        return text
    step = (len(text) - _SAMPLE) // (_NUM_SAMPLES - 1)
    return "\n".join(text[i * step : i * step + _SAMPLE] for i in range(_NUM_SAMPLES))


@cache
def _identifier() -> Any:
    try:
        from py3langid import langid  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise SpanmixError(
            "filters.prose_languages needs the package py3langid, which is not installed; install "
            "'spanmix[corpus]', or set filters.prose_languages to null"
        ) from None
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
