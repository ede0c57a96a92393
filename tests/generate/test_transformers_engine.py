"""The transformers engine passes the tests of every engine, and what is its own."""

import importlib.util
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers

from spanmix.errors import InputError
from spanmix.generate import transformers_engine
from spanmix.generate.aligned_cache import AlignedCache
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.transformers_engine import TransformersEngine

CONTEXT, VOCAB = 160, 384
SMALL = {"vocab_size": VOCAB, "num_hidden_layers": 2, "num_attention_heads": 4, "bos_token_id": 0}
DECODER = {**SMALL, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": CONTEXT}
FORMS = {
    "Llama": {**DECODER, "num_key_value_heads": 2},
    "Qwen2": {**DECODER, "num_key_value_heads": 2},
    "Starcoder2": {**DECODER, "num_key_value_heads": 2, "sliding_window": 24},
    "Mistral": {**DECODER, "num_key_value_heads": 2, "sliding_window": 16},
    "Gemma": {**DECODER, "num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": False},
    "GPTBigCode": {
        **{name: value for name, value in SMALL.items() if not name.startswith("num")},
        "n_layer": 2,
        "n_head": 4,
        "n_embd": 32,
        "n_inner": 48,
        "n_positions": CONTEXT,
    },
}


def tiny(form, **changes):
    """A random model of a form whose logits are far apart."""
    torch.manual_seed(3)
    config = getattr(transformers, f"{form}Config")(**{**FORMS[form], **changes})
    model = getattr(transformers, f"{form}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.25 if parameter.ndim == 2 else 0.1)
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(scope="module")
def theirs(request):
    """The model of a form, as transformers runs it; Llama's where a test names none."""
    return tiny(getattr(request, "param", "Llama"))


@pytest.fixture
def make_engine(theirs):
    """Makes an engine of the model."""
    return partial(TransformersEngine, theirs)


every_form = pytest.mark.parametrize("theirs", list(FORMS), indirect=True, scope="module")

# The tests that every engine passes, for Llama; those that look at the numbers follow for every form.
_SPEC = importlib.util.spec_from_file_location("engine_contract", Path(__file__).with_name("test_engines.py"))
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)
globals().update({name: test for name, test in vars(contract).items() if name.startswith("test_")})


@every_form
def test_every_form_gives_transformers_tokens_and_log_probabilities(make_engine, theirs):
    contract.test_greedy_is_transformers_greedy_for_64_tokens(make_engine, theirs)
    contract.test_score_is_transformers_log_probability(make_engine, theirs)


@every_form
def test_every_form_is_in_a_batch_as_alone(make_engine):
    contract.test_in_a_batch_is_as_alone(make_engine, {"max_rows": 5})


@every_form
def test_scores_are_the_same_however_few_logits_fit_at_once(make_engine, theirs, monkeypatch):
    lengths = [(40, 30), (41, 2), (50, 60), (45, 0)]
    requests = [
        ScoreRequest(contract.ids_of(n, a), contract.ids_of(50 + n, b)) for n, (a, b) in enumerate(lengths)
    ]
    passes = []
    theirs.register_forward_hook(lambda module, args, output: passes.append(output.logits.shape[0]))
    whole = make_engine().score(requests)
    num_whole = len(passes)
    monkeypatch.setattr(transformers_engine, "_LOGITS_ELEMENTS", 9 * VOCAB)
    parts = make_engine().score(requests)
    for one, other in zip(whole, parts, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5) and one.is_greedy == other.is_greedy
    assert len(passes) > 4 * num_whole and max(passes[num_whole:]) <= 9


def test_rows_that_stand_for_nothing_are_never_generated_and_can_be_scored(theirs):
    free = generate(TransformersEngine(theirs), [GenerateRequest([5, 6], 40)])[0]
    never = frozenset(free.token_ids)
    engine = TransformersEngine(theirs, never_ids=never)
    for temperature in (0.0, 3.0):
        request = GenerateRequest([5, 6], 100, temperature, suppress_ids=frozenset({7}))
        assert not {*never, 7} & set(generate(engine, [request])[0].token_ids)
    assert engine.info.vocab_size == VOCAB
    target = ScoreRequest([5, 6], free.token_ids[:3])
    assert engine.score([target])[0].logprobs == pytest.approx(free.logprobs[:3], abs=1e-5)
    with pytest.raises(InputError, match="every token is suppressed"):
        generate(engine, [GenerateRequest([5], 2, suppress_ids=frozenset(range(VOCAB)) - never)])


def test_bf16_agrees_roughly():
    requests = [ScoreRequest(contract.ids_of(n, 40), contract.ids_of(n + 9, 40)) for n in range(4)]
    exact = TransformersEngine(tiny("Llama")).score(requests)
    engine = TransformersEngine(tiny("Llama").to(torch.bfloat16))
    assert engine.info.dtype == "bf16"
    for one, other in zip(exact, engine.score(requests), strict=True):
        assert one.logprobs != other.logprobs and one.logprobs == pytest.approx(other.logprobs, abs=1.0)


def test_the_cache_aligns_rows_at_their_ends():
    cache, given = AlignedCache(), {}

    def rows_of(*rows):
        """A cache of transformers whose rows hold these numbers."""
        width = max(len(row) for row in rows)
        new = transformers.DynamicCache()
        for layer in range(2):
            numbers = torch.tensor([[*row, *[99.0] * (width - len(row))] for row in rows])
            keys = numbers[:, None, :, None].expand(-1, 3, -1, 5) + layer
            new.update(keys, keys + 0.5, layer)
        return new

    cache.add(rows_of([1.0, 2.0], [3.0]), [2, 1])
    cache.add(rows_of([4.0, 5.0, 6.0, 7.0]), [4])
    for number in (8.0, 9.0):
        given = cache.next_slot(torch.device("cpu"))
        step = torch.full((3, 3, 1, 5), number)
        for layer in range(2):
            cache.cache.update(step + layer, step + layer + 0.5, layer)
    assert given.tolist() == [[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1], [1] * 6]
    shown = cache.cache.layers[1].values[:, 2, :, 3] - 1.5
    assert shown.tolist() == [[0 - 1.5, 0 - 1.5, 1, 2, 8, 9], [-1.5, -1.5, -1.5, 3, 8, 9], [4, 5, 6, 7, 8, 9]]
    cache.keep([1, 0])
    assert cache.cache.layers[0].keys[:, 0, :, 0].tolist() == [[0, 3, 8, 9], [1, 2, 8, 9]]
    assert cache.lengths == [3, 4] and cache.num_slots == 4
    cache.keep([])
    assert cache.num_slots == 0
    cache.add(rows_of([1.0]), [1])
    assert cache.cache.layers[0].keys.shape == (1, 3, 1, 5)


class Odd(torch.nn.Module):
    """A model that keeps something else than keys and values, or has no head, or no context."""

    def __init__(self, model, head=True, context=True, cache=True):
        super().__init__()
        self.model, self.head, self.cache = model, head, cache
        self.device, self.dtype = model.device, model.dtype
        self.config = model.config if context else transformers.PretrainedConfig()

    def get_output_embeddings(self):
        return self.model.lm_head if self.head else None

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def forward(self, past_key_values, **kwargs):
        kept = past_key_values if self.cache else transformers.DynamicCache()
        return self.model(past_key_values=kept, **kwargs)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("head", "Odd has no head that predicts tokens"),
        ("context", "names no context; it needs one of max_position_embeddings, n_positions"),
        ("cache", "Odd keeps something else than keys and values"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused(theirs, fault, message):
    assert TransformersEngine(Odd(theirs)).info.context_tokens == CONTEXT
    with pytest.raises(InputError, match=message):
        TransformersEngine(Odd(theirs, **{fault: False}))
