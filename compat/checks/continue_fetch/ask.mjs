// node ask.mjs URL: autocompletion as Continue does it. Its core is not on npm; what core/llm/llms does for
// ollama, llama.cpp and openai around @continuedev/fetch is repeated here, field by field.
import assert from "node:assert/strict";
import { fetchwithRequestOptions, streamJSON, streamSse } from "@continuedev/fetch";
import { constructLlmApi } from "@continuedev/openai-adapters";
import { check } from "./tell.mjs";

const [url] = process.argv.slice(2);
const prefix = "import os\n\n\ndef f(x):\n    y = ";
const suffix = "\n    return y\n";
const starcoder = `<fim_prefix>${prefix}<fim_suffix>${suffix}<fim_middle>`;
const common = ["/src/", "#- coding: utf-8", "```"];
const starcoderStops = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "<|endoftext|>", ...common];
const options = { max_tokens: 24, temperature: 0 };

async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json", Authorization: "Bearer none" };
  return fetchwithRequestOptions(new URL(path, `${url}/`), {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal,
  });
}

async function gathered(stream, textOf) {
  const parts = [];
  for await (const event of stream) parts.push(textOf(event) ?? "");
  assert.ok(parts.length > 3, `the text came in ${parts.length} parts`);
  return parts.join("");
}

/** The adapter of a provider, with the apiBase of docs/clients.md, at which core puts a slash. */
const adapter = (provider, apiBase) => constructLlmApi({ provider, apiBase: `${apiBase}/`, apiKey: "none" });
const never = new AbortController().signal;
const fimBody = { model: "codestral", prompt: prefix, suffix, ...options, stop: common, stream: true };

const whole = await check("the answer to suffix, which all others are compared with, is not empty", async () => {
  const answer = await (await post("v1/completions", { prompt: prefix, suffix, ...options, stop: common })).json();
  assert.ok(answer.choices[0].text.length > 0);
  return answer.choices[0].text;
});

for (const provider of ["mistral", "openai", "vllm"]) {
  await check(`provider ${provider}: fimStream() of the adapter, at /v1/fim/completions`, async () => {
    const stream = adapter(provider, `${url}/v1`).fimStream(fimBody, never);
    assert.equal(await gathered(stream, (chunk) => chunk.choices[0].delta.content), whole);
  });
}

await check("provider deepseek: fimStream() of the adapter, at /beta/completions", async () => {
  const stream = adapter("deepseek", url).fimStream(fimBody, never);
  assert.equal(await gathered(stream, (chunk) => chunk.choices[0].delta.content), whole);
});

await check("provider openai: completionStream() and completionNonStream() with StarCoder's sentinels", async () => {
  const api = adapter("openai", `${url}/v1`);
  const body = { model: "mine", prompt: starcoder, ...options, stop: starcoderStops };
  const stream = api.completionStream({ ...body, stream: true }, never);
  assert.equal(await gathered(stream, (chunk) => chunk.choices[0].text), whole);
  assert.equal((await api.completionNonStream({ ...body, stream: false }, never)).choices[0].text, whole);
});

await check("provider openai: core's own stream of /v1/completions with StarCoder's sentinels", async () => {
  const body = { model: "mine", prompt: starcoder, ...options, stop: starcoderStops, stream: true };
  const stream = streamSse(await post("v1/completions", body));
  assert.equal(await gathered(stream, (event) => event.choices?.[0]?.text), whole);
});

await check("provider llama.cpp: the stream of /completion with StarCoder's sentinels", async () => {
  const body = { model: "mine", prompt: starcoder, stream: true, n_predict: 24, stop: starcoderStops, temperature: 0 };
  assert.equal(await gathered(streamSse(await post("completion", body)), (event) => event.content), whole);
});

await check("provider ollama: /api/show names .Suffix; the stream of /api/generate with suffix", async () => {
  const shown = await (await post("api/show", { name: "mine" })).json();
  assert.ok(shown.template.includes(".Suffix"));
  const body = {
    model: "mine",
    prompt: prefix,
    suffix,
    raw: false,
    options: { temperature: 0, num_predict: 24, stop: common, num_ctx: 8192 },
    keep_alive: 1800,
    stream: true,
  };
  assert.equal(await gathered(streamJSON(await post("api/generate", body)), (line) => line.response), whole);
});

await check("provider ollama through the adapter, which asks at /v1: completionStream()", async () => {
  const body = { model: "mine", prompt: starcoder, ...options, stop: starcoderStops, stream: true };
  const stream = adapter("ollama", url).completionStream(body, never);
  assert.equal(await gathered(stream, (chunk) => chunk.choices[0].text), whole);
});

await check("list() of the adapter names one model", async () => {
  assert.equal((await adapter("openai", `${url}/v1`).list()).length, 1);
});

await check("a keystroke's abort ends a stream quietly, and the next one is answered", async () => {
  for (let key = 0; key < 5; key += 1) {
    const typed = new AbortController();
    const long = { ...fimBody, max_tokens: 900, min_tokens: 900, temperature: 1, stop: [] };
    let parts = 0;
    for await (const _ of adapter("mistral", `${url}/v1`).fimStream(long, typed.signal)) {
      parts += 1;
      if (parts === 2) typed.abort();
    }
    assert.ok(parts >= 2 && parts < 200, `${parts} parts came`);
  }
  const stream = adapter("mistral", `${url}/v1`).fimStream(fimBody, never);
  assert.equal(await gathered(stream, (chunk) => chunk.choices[0].delta.content), whole);
});

await check("a refusal reaches the editor as a message", async () => {
  const refused = [
    () => gathered(adapter("mistral", `${url}/v1`).fimStream({ ...fimBody, temperature: 9 }, never), () => ""),
    async () => gathered(streamJSON(await post("api/generate", { prompt: 7 })), () => ""),
    async () => gathered(streamSse(await post("completion", { prompt: { not: "a text" } })), () => ""),
  ];
  for (const ask of refused) {
    const error = await ask().then(() => null, (thrown) => thrown);
    const { error: told } = JSON.parse(error.message);
    assert.ok((told.message ?? told).length > 10);
  }
});
