"""What a server allows and does where a request does not say."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.errors import InputError
from spanmix.generate.text import Sampling


@dataclass(frozen=True)
class ServeSettings:
    """How a model is served.

    Args:
        name: what the model is called in answers and lists.
        api_keys: any one of which every request for the model has to bring; none lets everybody in.
        max_model_tokens: prompt plus completion, at most the model's own context; that if not given.
        max_requests: most choices that run or wait at once; more are refused with 429.
        max_choices: most choices (``n``, ``best_of``) of a request, prompts times choices.
        max_stops: most stop strings of a request, each of at most 512 characters.
        max_logprobs: most of the likeliest tokens that are reported at a position.
        max_body_bytes: longest request; longer ones are refused with 413.
        temperature, top_p: where a request does not say. Editors do not, and mean "sensibly". The
            temperature is at most 2, as in OpenAI's requests.
        suffix_share: of the room for a prompt that does not fit whole, how much its suffix may take.
        clamp: where prompt and ``max_tokens`` do not fit together, lower ``max_tokens``; else refuse.

    Raises:
        InputError: a field is out of its range.
    """

    name: str = "model"
    api_keys: tuple[str, ...] = ()
    max_model_tokens: int | None = None
    max_requests: int = 256
    max_choices: int = 32
    max_stops: int = 32
    max_logprobs: int = 20
    max_body_bytes: int = 16_000_000
    temperature: float = 0.2
    top_p: float = 0.95
    suffix_share: float = 0.35
    clamp: bool = True

    def __post_init__(self) -> None:
        for name in ("max_requests", "max_choices", "max_stops", "max_logprobs", "max_body_bytes"):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name} is {value}; use 1 or more")
        if self.max_model_tokens is not None and self.max_model_tokens < 8:
            raise InputError(f"max_model_tokens is {self.max_model_tokens}; use 8 or more")
        Sampling(temperature=self.temperature, top_p=self.top_p)  # which checks itself
        if self.temperature > 2:
            raise InputError(
                f"temperature is {self.temperature}; use a value from 0 to 2, as in OpenAI's requests"
            )
        if not 0 <= self.suffix_share <= 1:
            raise InputError(
                f"suffix_share is {self.suffix_share}; it is a share, so use a value from 0 to 1"
            )
        if any(not key or key != key.strip() for key in self.api_keys):
            raise InputError("an API key is empty or has a blank at an end")

    def context_tokens(self, own: int) -> int:
        """Return the longest prompt plus completion, in tokens, with a model whose own context is `own`.

        >>> ServeSettings(max_model_tokens=128).context_tokens(512), ServeSettings().context_tokens(512)
        (128, 512)
        """
        return min(own, self.max_model_tokens or own)
