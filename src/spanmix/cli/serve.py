"""``spanmix serve``: let editors and tools ask a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_engine, add_lead_tokens, add_model, add_verb, whole_number
from spanmix.cli.models import tell_news
from spanmix.cli.terminal import tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.serve.provenance import Provenance

_READ_TOKENS, _PART_SECONDS = 512, 0.2
"""Of prompts, at once: one that a client leaves is not read on, and others get tokens in between."""
_RESTING_ROWS = 16
"""Prompts that are kept for those that begin alike: some editors with some files each."""
_MATCH_BYTES = 60
EXAMPLE = """
spanmix serve runs/mine
spanmix serve exports/mine-int8 --port 8012 --api-keys keys.txt --log requests.jsonl
curl http://127.0.0.1:8012/v1/completions -H 'Content-Type: application/json' \\
  -d '{"prompt": "def f(x):\\n    ", "suffix": "\\n    return y", "max_tokens": 32}'
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "serve", "answer editors and tools over HTTP, suffix included", EXAMPLE, run)
    add_model(parser)
    add_engine(parser)
    add_lead_tokens(parser)
    parser.add_argument(
        "--device", metavar="NAME", help="where PyTorch computes, such as cuda (the processor)"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="what the torch engine computes in; auto is bf16 where the device has instructions for it",
    )
    _add_listening(parser)
    _add_limits(parser)
    _add_provenance(parser)


def _add_listening(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may ask")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (%(default)s: this machine alone)",
    )
    group.add_argument(
        "--port", type=_port, default=8012, metavar="N", help="(%(default)s; 0 takes a free one)"
    )
    group.add_argument(
        "--api-keys",
        type=Path,
        metavar="FILE",
        help="a file of keys, one a line; each request has to bring one",
    )
    group.add_argument("--name", metavar="NAME", help="what clients see as the model's name (its folder's)")
    group.add_argument(
        "--log",
        metavar="FILE",
        help="append a line of JSON for each request, without its texts; - for stderr",
    )
    group.add_argument(
        "--otlp",
        metavar="URL",
        help="send a span of each request, without its texts, to this OpenTelemetry collector (OTLP, HTTP)",
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how much, and how")
    group.add_argument(
        "--max-model-len",
        type=whole_number(8),
        metavar="N",
        help="most tokens of prompt and answer (the model's)",
    )
    group.add_argument(
        "--max-requests",
        type=whole_number(1),
        default=256,
        metavar="N",
        help="answers that run or wait at once; more are told to come back later (%(default)s)",
    )
    group.add_argument(
        "--temperature",
        type=float,
        default=0.2,
        metavar="T",
        help="where a request does not say (%(default)s)",
    )
    group.add_argument(
        "--top-p", type=float, default=0.95, metavar="P", help="where a request does not say (%(default)s)"
    )
    group.add_argument(
        "--suffix-share",
        type=float,
        default=0.35,
        metavar="S",
        help="of a prompt that does not fit, what is kept for the suffix (%(default)s)",
    )
    group.add_argument(
        "--strict-length",
        action="store_true",
        help="refuse a max_tokens that does not fit, instead of lowering it",
    )


def _add_provenance(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what stands in the training data")
    group.add_argument(
        "--corpus",
        type=Path,
        metavar="CORPUS",
        help="the corpus of the model, with a trace index: tell of matches",
    )
    group.add_argument(
        "--match-bytes",
        type=whole_number(1),
        metavar="N",
        help=f"bytes of the shortest match that is told ({_MATCH_BYTES})",
    )
    group.add_argument(
        "--block-verbatim",
        type=whole_number(1),
        metavar="N",
        help="end an answer in front of a match of more bytes",
    )


def run(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C; what is on its way then is finished."""
    try:
        from spanmix.serve.front.tracing import open_spans
        from spanmix.serve.run import listen, read_keys, serve
        from spanmix.serve.settings import ServeSettings
    except ModuleNotFoundError as error:
        raise InputError(
            f"serving needs {error.name}, which is not installed: pip install 'spanmix[serve]'"
        ) from None
    from spanmix.generate.opening import TorchTuning, open_model

    settings = ServeSettings(
        name=args.name or Path(args.model).resolve().name,
        api_keys=() if args.api_keys is None else read_keys(args.api_keys),
        max_model_tokens=args.max_model_len,
        max_requests=args.max_requests,
        temperature=args.temperature,
        top_p=args.top_p,
        suffix_share=args.suffix_share,
        clamp=not args.strict_length,
    )
    provenance = _provenance(args)
    log = _log(args.log)
    spans = None if args.otlp is None else open_spans(args.otlp)
    with listen(args.host, args.port) as listener:
        tuning = TorchTuning(args.precision, _READ_TOKENS, _RESTING_ROWS, _PART_SECONDS)
        model = open_model(args.model, args.engine, args.lead_tokens, args.device, tuning)
        tell_news(model)
        info = model.engine.info
        if args.precision not in ("auto", info.dtype):
            raise InputError(
                f"--precision {args.precision} is for the torch engine, and {args.model} computes in "
                f"{info.dtype}; leave it out"
            )
        own = info.context_tokens
        if (args.max_model_len or 0) > own:
            tell(f"--max-model-len is {args.max_model_len:,}, and the model has {own:,} tokens: these hold")
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        tokens = f"{settings.context_tokens(own):,} tokens"
        tell(f"serving {settings.name} ({info.dtype}, {tokens}) at http://{shown}:{port}")
        if model.asked.infill is None:
            tell("this model was not trained to infill: it continues texts, and refuses what has a suffix")
        if not settings.api_keys and host not in ("127.0.0.1", "::1"):
            tell("there are no --api-keys: everybody who reaches this address may ask")
        serve(model, settings, listener, tell, log, provenance, spans)


def _provenance(args: argparse.Namespace) -> Provenance | None:
    """Return what is asked of the training data."""
    if args.corpus is None:
        for flag, given in (("--block-verbatim", args.block_verbatim), ("--match-bytes", args.match_bytes)):
            if given is not None:
                raise InputError(f"{flag} needs --corpus, the training data in which it looks")
        return None
    from spanmix.serve.provenance import Provenance
    from spanmix.text.trace.index import TraceIndex

    return Provenance(TraceIndex.open(args.corpus), args.match_bytes or _MATCH_BYTES, args.block_verbatim)


def _log(name: str | None) -> Callable[[str], None] | None:
    """Return what writes the record of a request."""
    if name is None:
        return None
    from spanmix.serve.run import stamped

    try:
        file = sys.stderr if name == "-" else Path(name).open("a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"--log {name}: {error.strerror}; name a file that can be written") from None
    return lambda line: print(stamped(line), file=file, flush=True)


def _port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) > 65_535:
        raise argparse.ArgumentTypeError(f"{value!r} is not a port, 0 to 65535")
    return int(value)
