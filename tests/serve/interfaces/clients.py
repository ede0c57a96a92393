"""What each client sends, field by field, around a cursor; see docs/clients.md."""

PREFIX, SUFFIX = "import os\n\n\ndef f(x):\n    y = ", "\n    return y\n"
LINES, LINE = PREFIX.rsplit("\n", 1)
STARCODER = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
QWEN = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
QWEN_STOPS = ["<|endoftext|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]


def text_of_choice(answer):
    return answer["choices"][0]["text"]


def text_of_message(answer):
    return answer["choices"][0]["message"]["content"]


_TIMES = [
    f"{part}_{unit}" for part in ("prompt", "predicted") for unit in ("n", "ms", "per_token_ms", "per_second")
]
LLAMA_VIM = {
    "id_slot": 0,
    "input_prefix": f"{LINES}\n",
    "input_suffix": SUFFIX,
    "input_extra": [],
    "prompt": LINE,
    "n_predict": 20,
    "stop": [],
    "n_indent": 0,
    "top_k": 40,
    "top_p": 0.90,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 100_000,
    "response_fields": ["content", *(f"timings/{name}" for name in _TIMES), "truncated", "tokens_cached"],
    "model": "",
}
"""What autoload/llama.vim sends, field by field, but with time enough on any machine."""

CLIENTS = {
    "llama.vim": ("/infill", LLAMA_VIM, lambda answer: answer["content"]),
    "llama.vscode": (
        "/infill",
        {name: value for name, value in LLAMA_VIM.items() if name not in ("stop", "response_fields", "model")}
        | {"top_p": 0.99, "n_cmpl": 1},
        lambda answer: answer["content"],
    ),
    "Zed": (
        "/v1/completions",
        {"model": "mine", "prompt": QWEN, "max_tokens": 20, "stop": QWEN_STOPS},
        text_of_choice,
    ),
    "Continue, mistral": (
        "/v1/fim/completions",
        {
            "model": "codestral",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "max_tokens": 20,
            "stop": ["[PREFIX]", "[SUFFIX]", "/src/", "#- coding: utf-8", "```"],
            "stream": False,
        },
        text_of_message,
    ),
    "Continue, openai": (
        "/v1/completions",
        {
            "model": "mine",
            "prompt": STARCODER,
            "max_tokens": 20,
            "stop": [
                "<fim_prefix>",
                "<fim_suffix>",
                "<fim_middle>",
                "<file_sep>",
                "/src/",
                "#- coding: utf-8",
                "```",
            ],
            "stream": False,
        },
        text_of_choice,
    ),
    "Continue, ollama": (
        "/api/generate",
        {
            "model": "mine",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "raw": False,
            "keep_alive": 1800,
            "stream": False,
            "options": {"num_predict": 20, "num_ctx": 8096, "stop": ["/src/", "```"]},
        },
        lambda answer: answer["response"],
    ),
    "Continue, llama.cpp": (
        "/completion",
        {"prompt": STARCODER, "stream": False, "n_predict": 20, "stop": ["<fim_prefix>", "```"]},
        lambda answer: answer["content"],
    ),
    "minuet": (
        "/v1/completions",
        {
            "model": "mine",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "max_tokens": 20,
            "top_p": 0.9,
            "stream": False,
        },
        text_of_choice,
    ),
    "llm-ls, openai": (
        "/v1/completions",
        {"model": "mine", "prompt": STARCODER, "max_tokens": 20, "top_p": 0.95, "stream": False},
        text_of_choice,
    ),
    "llm-ls, tgi": (
        "/generate",
        {
            "inputs": STARCODER,
            "parameters": {
                "max_new_tokens": 20,
                "top_p": 0.95,
                "do_sample": False,
                "return_full_text": False,
            },
        },
        lambda answer: answer["generated_text"],
    ),
    "llm-ls, CodeGen2's own form": (
        "/v1/completions",
        {"prompt": f"{PREFIX}<mask_1>{SUFFIX}<|endoftext|><sep><mask_1>", "max_tokens": 20, "stream": False},
        text_of_choice,
    ),
    "Tabby as a proxy": (
        "/v1/completions",
        {
            "model": "mine",
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "max_tokens": 20,
            "presence_penalty": 0.0,
            "stream": False,
        },
        text_of_choice,
    ),
    "Copilot": (
        "/v1/engines/codegen/completions",
        {
            "prompt": PREFIX,
            "suffix": SUFFIX,
            "max_tokens": 20,
            "top_p": 1,
            "n": 1,
            "stop": ["\n\n\n"],
            "nwo": "owner/name",
            "stream": False,
            "extra": {
                "language": "python",
                "next_indent": 0,
                "trim_by_indentation": True,
                "prompt_tokens": 20,
            },
        },
        text_of_choice,
    ),
    "DeepSeek's": (
        "/beta/completions",
        {"model": "deepseek-chat", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 20},
        text_of_choice,
    ),
}
"""For each: where it asks, what it sends, and where it reads the text."""
