"""The plain loop that `benchmarks/serve.py` compares with: `generate` behind HTTP, one request at a time.

    python benchmarks/serve_sides.py FOLDER PORT DTYPE

It does what most people write first: a route, a lock, and `generate` with a streamer.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Told:
    """Hands each token of `generate` to an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tokens: asyncio.Queue[int | None]) -> None:
        self._loop, self._tokens = loop, tokens
        self._is_prompt = True

    def put(self, ids: torch.Tensor) -> None:
        """Take the prompt first, then one token at a time."""
        if self._is_prompt:
            self._is_prompt = False
            return
        self._loop.call_soon_threadsafe(self._tokens.put_nowait, int(ids.flatten()[-1]))

    def end(self) -> None:
        """Say that there are no more."""
        self._loop.call_soon_threadsafe(self._tokens.put_nowait, None)


def make_app(folder: str, dtype: str) -> FastAPI:
    """Return the application."""
    from transformers import GPTJForCausalLM

    model = GPTJForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
    lock = threading.Lock()
    app = FastAPI()

    def generate(ids: list[int], max_tokens: int, told: Told) -> None:
        with lock, torch.inference_mode():
            prompt = torch.tensor([ids])
            model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                min_new_tokens=max_tokens,
                max_new_tokens=max_tokens,
                pad_token_id=0,
                streamer=told,
            )

    @app.post("/generate")
    async def answer(request: Request) -> StreamingResponse:
        body: dict[str, Any] = await request.json()
        tokens: asyncio.Queue[int | None] = asyncio.Queue()
        told = Told(asyncio.get_running_loop(), tokens)
        threading.Thread(target=generate, args=(body["ids"], body["max_tokens"], told)).start()

        async def events() -> AsyncIterator[str]:
            while (token := await tokens.get()) is not None:
                yield f"data: {token}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


if __name__ == "__main__":
    uvicorn.run(
        make_app(sys.argv[1], sys.argv[3]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning"
    )
