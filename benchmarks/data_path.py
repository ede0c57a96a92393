"""How fast is the data path? Spanmix against bigcode's FIM and t5's span corruption, taken in turn.

    python benchmarks/data_path.py [CORPUS] [--megatron CHECKOUT] [--t5 CHECKOUT --t5-python PYTHON]

CORPUS is a prepared corpus; by default the demo's, which is made if it is not there. A peer is left out
whose checkout is not named. Ours is
measured from memory-mapped tokens to corrupted, packed and collated batches, each objective by itself; the
peers from tokens in memory to transformed samples, with no packing and no masks. The peers' code is what
stands in their checkouts: ``permute`` of bigcode-project/Megatron-LM (``megatron/data/gpt_dataset.py``, at
rate 1, on samples of the same row length and with the same tokenizer) and ``span_corruption`` of
google-research/text-to-text-transfer-transformer, which needs an interpreter with TensorFlow. All run in
one process each, one after the other, in rounds. Figures are tokens of training data a second of
processor time, medians of the rounds; the last line is one JSON object with all of them.
"""

import argparse
import ast
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.data_configs import DataConfig, SourceConfig
from spanmix.demo.corpus import demo_corpus
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    ObjectiveConfig,
    SpanUnitsConfig,
    Ul2Config,
)
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.fim import FIM_TOKENS
from spanmix.objectives.objective import Alphabet
from spanmix.text.corpus import Corpus

OURS: dict[str, ObjectiveConfig] = {
    "causal": CausalConfig(weight=1),
    "infill": InfillConfig(weight=1),
    "infill, at characters": InfillConfig(weight=1, cut="character"),
    "infill, whole lines": InfillConfig(weight=1, span_units=SpanUnitsConfig(random=0, lines=1)),
    "fim, at tokens": FimConfig(weight=1, cut="token"),
    "fim, at characters": FimConfig(weight=1, cut="character"),
    "ul2": Ul2Config(weight=1),
}


PERMUTE = "bigcode permute"
SPAN_CORRUPTION = "t5 span_corruption"


class Objectives:
    """Batches of one objective, and how many tokens of documents and how much padding they hold."""

    def __init__(self, corpus: Corpus, config: ObjectiveConfig, row_tokens: int) -> None:
        tokenizer = corpus.tokenizer
        control = tokenizer.control
        # The demo's tokenizer has no <fim_...>; its last sentinels take their place, for the time it takes.
        names = dict(zip(FIM_TOKENS, control.masks[-3:], strict=True))
        alphabet = _Alphabet(control, tokenizer.ends_line, names)
        sources = tuple(SourceConfig(name, 1.0) for name in corpus.train)
        data = DataConfig(row_tokens, 8, sources)
        names_of = [source.name for source in sources]
        cutter = CharacterCutter(tokenizer.encode, tokenizer.token_bytes, tokenizer.num_bytes)
        written = ObjectiveMixture([config], alphabet, row_tokens, names_of, cutter)
        mixture = Mixture(data, dict(corpus.train), seed=1)
        loader = Loader(data, mixture, written, control.pad, corpus.fingerprint)
        self._batches = loader.batches(loader.start(), data.global_batch_rows)
        self.positions = self.padding = 0

    def run(self, seconds: float) -> float:
        """Return positions a second."""
        start, done = time.process_time(), 0
        while (spent := time.process_time() - start) < seconds:
            batch, _ = next(self._batches)
            done += batch.token_ids.size
            self.padding += int((batch.segment_ids == 0).sum())
        self.positions += done
        return done / spent


class _Alphabet(Alphabet):
    def ids_of(self, texts: Sequence[str], wanted_by: str) -> list[int]:
        return [self.special_ids[text] for text in texts]


class Permute:
    """bigcode's FIM on samples of `row_tokens` tokens."""

    def __init__(self, corpus: Corpus, checkout: Path, row_tokens: int) -> None:
        source = (checkout / "megatron" / "data" / "gpt_dataset.py").read_text()
        # The module imports all of Megatron; the function itself needs numpy alone.
        [function] = [
            n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "permute"
        ]
        scope: dict[str, object] = {"np": np}
        exec(compile(ast.Module([function], []), str(checkout), "exec"), scope)
        self._permute: Callable[..., np.ndarray] = scope["permute"]  # type: ignore[assignment]
        self._tokenizer = _Tokenizer(corpus)
        self._random = np.random.RandomState(seed=0)
        self._samples = _samples(corpus, row_tokens)

    def run(self, seconds: float) -> float:
        """Return tokens of samples a second."""
        start, done = time.process_time(), 0
        while (spent := time.process_time() - start) < seconds:
            sample = next(self._samples)
            marks = {"suffix_tok_id": 1, "prefix_tok_id": 2, "middle_tok_id": 3, "pad_tok_id": 4}
            self._permute(sample, self._random, 1.0, 0.5, self._tokenizer, **marks)
            done += len(sample)
        return done / spent


class _Tokenizer:
    """Our tokenizer with the two methods that Megatron's have."""

    def __init__(self, corpus: Corpus) -> None:
        self.tokenize = corpus.tokenizer.encode
        self.detokenize = corpus.tokenizer.decode


def _samples(corpus: Corpus, row_tokens: int) -> Iterator[np.ndarray]:
    """Documents end to end, cut into samples, without end."""
    while True:
        for source in corpus.train.values():
            held: list[np.ndarray] = []
            for document in range(source.num_documents):
                held.append(source.tokens(document))
                if sum(map(len, held)) >= 64 * row_tokens:
                    joined = np.concatenate(held)
                    held = []
                    yield from joined[: len(joined) // row_tokens * row_tokens].reshape(-1, row_tokens)


T5 = """
import json, sys, time
import numpy as np, seqio, tensorflow as tf
from t5.data import preprocessors
tokens, row_tokens = np.load(sys.argv[1]), int(sys.argv[2])
seconds, rounds = float(sys.argv[3]), int(sys.argv[4])
vocabulary = seqio.PassThroughVocabulary(60000, eos_id=1)
features = {name: seqio.Feature(vocabulary, add_eos=False) for name in ("inputs", "targets")}
data = tf.data.Dataset.from_tensor_slices({"targets": tokens}).repeat()
data = preprocessors.span_corruption(data, {"inputs": row_tokens, "targets": row_tokens}, features)
options = tf.data.Options()
options.threading.private_threadpool_size = 1
batches = iter(data.with_options(options))
next(batches)
for _ in range(rounds):
    start, done = time.process_time(), 0
    while (spent := time.process_time() - start) < seconds:
        example = next(batches)
        done += int(example["inputs"].shape[0]) + int(example["targets"].shape[0])
    print(json.dumps(done / spent), flush=True)
"""


def t5_rates(corpus: Corpus, args: argparse.Namespace) -> list[float]:
    """Run t5's preprocessor in the interpreter that has TensorFlow."""
    file = args.scratch / "t5_tokens.npy"
    samples = _samples(corpus, 16 * args.row_tokens)
    np.save(file, np.stack([next(samples) for _ in range(64)]))
    command = [args.t5_python, "-c", T5, str(file), str(args.row_tokens), str(args.seconds), str(args.rounds)]
    finished = subprocess.run(
        command,
        env={"PYTHONPATH": str(args.t5.resolve())},
        cwd=args.scratch,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [float(json.loads(line)) for line in finished.stdout.splitlines()]


def main() -> None:
    """Measure in turn, and print rates and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--megatron", type=Path)
    parser.add_argument("--t5", type=Path)
    parser.add_argument("--t5-python", default=sys.executable)
    parser.add_argument("--row-tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"))
    args = parser.parse_args()
    corpus = demo_corpus(Path("runs/demo")) if args.corpus is None else Corpus.open(args.corpus)
    sides: dict[str, Objectives | Permute] = {
        name: Objectives(corpus, config, args.row_tokens) for name, config in OURS.items()
    }
    if args.megatron is not None:
        sides[PERMUTE] = Permute(corpus, args.megatron, args.row_tokens)
    for side in sides.values():
        side.run(0.5)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            rates[name].append(side.run(args.seconds))
    if args.t5 is not None:
        rates[SPAN_CORRUPTION] = t5_rates(corpus, args)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"rows of {args.row_tokens} tokens, {args.rounds} rounds of {args.seconds} s, processor time")
    for name, values in rates.items():
        side = sides.get(name)
        padding = f", padding {side.padding / side.positions:.2%}" if isinstance(side, Objectives) else ""
        ratio = f", {medians[name] / medians[PERMUTE]:6.2f} times permute" if PERMUTE in medians else ""
        spread = f"[{min(values) / 1e6:.2f}, {max(values) / 1e6:.2f}]"
        print(f"{name:24} {medians[name] / 1e6:7.2f} M tokens/s {spread}{ratio}{padding}")
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    figures = {
        "causal_tokens_per_second": medians["causal"],
        "infill_tokens_per_second": medians["infill"],
        "ratio_bigcode_fim": _ratio(medians, "infill", PERMUTE),
        "ratio_bigcode_fim_characters": _ratio(medians, "fim, at characters", PERMUTE),
        "ratio_t5_span_corruption": _ratio(medians, "infill", SPAN_CORRUPTION),
        "row_tokens": args.row_tokens,
        "medians": medians,
        "raw": rates,
        "padding": {n: s.padding / s.positions for n, s in sides.items() if isinstance(s, Objectives)},
        "versions": versions,
    }
    print(json.dumps(figures))


def _ratio(medians: dict[str, float], ours: str, peer: str) -> float | None:
    """How many times a peer's rate ours is; None for a peer that was not given."""
    return medians[ours] / medians[peer] if peer in medians else None


if __name__ == "__main__":
    main()
