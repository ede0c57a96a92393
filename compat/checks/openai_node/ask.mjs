// node ask.mjs URL LOCKED MODEL: LOCKED wants the key `right`, and lets one request in at a time.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { check } from "./tell.mjs";

const [url, locked, model] = process.argv.slice(2);
const at = (base, apiKey) => new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });
const client = at(url, "none");
const asked = { model, prompt: "def f(x):\n    y = ", suffix: "\n    return y\n", max_tokens: 24, temperature: 0 };

/** Ask, and return the error that the client makes of the answer. */
async function refused(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("no error was thrown");
}

await check("models.list() and models.retrieve() name the model", async () => {
  const names = [];
  for await (const one of client.models.list()) names.push(one.id);
  assert.deepEqual(names, [model]);
  assert.equal((await client.models.retrieve(model)).id, model);
});

const whole = await check("completions.create() with suffix: text, finish_reason, usage", async () => {
  const answer = await client.completions.create(asked);
  assert.equal(answer.object, "text_completion");
  const [choice] = answer.choices;
  assert.ok(choice.text.length > 0);
  assert.ok(["stop", "length"].includes(choice.finish_reason));
  assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 24);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  const alone = await client.completions.create({ ...asked, suffix: undefined });
  assert.notEqual(alone.choices[0].text, choice.text, "the suffix makes no difference");
  return choice.text;
});

await check("stream: true gives the same text piece by piece, usage last where it is asked for", async () => {
  const stream = await client.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } });
  let text = "";
  let events = 0;
  let reason = null;
  let usage = null;
  for await (const event of stream) {
    events += 1;
    for (const choice of event.choices) {
      text += choice.text;
      reason = choice.finish_reason ?? reason;
    }
    usage = event.usage ?? usage;
  }
  assert.equal(text, whole);
  assert.ok(events > 3 && reason && usage.completion_tokens > 0);
});

await check("stop ends an answer in front of the string, as a text and as a list", async () => {
  const mark = whole.slice(4, 7);
  const wanted = whole.slice(0, whole.indexOf(mark));
  for (const stop of [mark, ["never there", mark]]) {
    const [choice] = (await client.completions.create({ ...asked, stop })).choices;
    assert.equal(choice.text, wanted);
    assert.equal(choice.finish_reason, "stop");
  }
});

await check("logprobs, whole and streamed: the same tokens, and the greedy one the likeliest", async () => {
  const [choice] = (await client.completions.create({ ...asked, logprobs: 3 })).choices;
  const { tokens, token_logprobs, top_logprobs, text_offset } = choice.logprobs;
  for (const list of [token_logprobs, top_logprobs, text_offset]) assert.equal(list.length, tokens.length);
  tokens.forEach((token, index) => {
    assert.equal(Math.max(...Object.values(top_logprobs[index])), token_logprobs[index]);
  });
  const streamed = [];
  for await (const event of await client.completions.create({ ...asked, logprobs: 3, stream: true })) {
    streamed.push(...event.choices[0].logprobs.tokens);
  }
  assert.deepEqual(streamed, tokens);
});

await check("echo with logprobs: the prompt's tokens at their places, the first without a number", async () => {
  const scored = { ...asked, suffix: undefined, echo: true, logprobs: 0, max_tokens: 0 };
  const { text, logprobs } = (await client.completions.create(scored)).choices[0];
  assert.equal(text, asked.prompt);
  const [first, ...tokens] = logprobs.tokens;
  const starts = first === "<|endoftext|>"; // what the model's texts begin with
  assert.equal(starts ? tokens.join("") : first + tokens.join(""), asked.prompt);
  assert.equal(logprobs.token_logprobs[0], null);
  tokens.forEach((token, index) => assert.ok(text.startsWith(token, logprobs.text_offset[index + 1]), token));
});

await check("n, seed, echo, several prompts and token ids", async () => {
  const two = { ...asked, n: 2, seed: 7, temperature: 1 };
  const texts = async () => (await client.completions.create(two)).choices.map((choice) => choice.text);
  const first = await texts();
  assert.equal(first.length, 2);
  assert.deepEqual(await texts(), first);
  const echoed = await client.completions.create({ ...asked, suffix: undefined, echo: true });
  assert.ok(echoed.choices[0].text.startsWith(asked.prompt));
  const prompts = { ...asked, suffix: undefined, prompt: ["a = ", "b = "] };
  assert.deepEqual((await client.completions.create(prompts)).choices.map((choice) => choice.index), [0, 1]);
  const ids = await client.completions.create({ ...asked, suffix: undefined, prompt: [40, 41, 42] });
  assert.equal(ids.usage.prompt_tokens, 3);
});

await check("400 is a BadRequestError with message, type and param", async () => {
  const wrong = [
    [{ max_tokens: -1 }, "max_tokens"],
    [{ temperature: 9 }, "temperature"],
    [{ logprobs: 1000 }, "logprobs"],
    [{ prompt: { not: "a text" } }, "prompt"],
    [{ suffix: undefined, prompt: "x = 1\n".repeat(5000) }, "prompt"],
  ];
  for (const [fields, param] of wrong) {
    const error = await refused(client.completions.create({ ...asked, ...fields }));
    assert.ok(error instanceof OpenAI.BadRequestError, `${param}: ${error}`);
    assert.equal(error.type, "invalid_request_error");
    assert.equal(error.param, param);
    assert.ok(error.error.message.length > 10);
  }
});

await check("401 is an AuthenticationError; the right key is let in", async () => {
  const error = await refused(at(locked, "wrong").completions.create(asked));
  assert.ok(error instanceof OpenAI.AuthenticationError, `${error}`);
  assert.equal(error.code, "invalid_api_key");
  assert.equal((await at(locked, "right").completions.create(asked)).choices[0].text, whole);
});

await check("404 is a NotFoundError: another model's name, and a route that is not there", async () => {
  const error = await refused(client.models.retrieve("gpt-none"));
  assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
  assert.equal(error.code, "model_not_found");
  const chat = client.chat.completions.create({ model, messages: [{ role: "user", content: "x" }] });
  assert.ok((await refused(chat)) instanceof OpenAI.NotFoundError);
});

await check("429 is a RateLimitError with Retry-After; one that may retry waits and is answered", async () => {
  const full = at(locked, "right");
  const long = await full.completions.create({ ...asked, max_tokens: 1500, stream: true, ignore_eos: true });
  const events = long[Symbol.asyncIterator]();
  await events.next();
  const error = await refused(full.completions.create(asked));
  assert.ok(error instanceof OpenAI.RateLimitError, `${error}`);
  assert.ok(Number(error.headers.get("retry-after")) >= 1);
  const patient = new OpenAI({ baseURL: `${locked}/v1`, apiKey: "right", maxRetries: 5 }).completions.create(asked);
  long.controller.abort();
  assert.equal((await patient).choices[0].text, whole);
});

await check("an aborted stream frees its place", async () => {
  const full = new OpenAI({ baseURL: `${locked}/v1`, apiKey: "right", maxRetries: 5 });
  for (let round = 0; round < 3; round += 1) {
    const stop = new AbortController();
    const long = { ...asked, max_tokens: 1500, stream: true, ignore_eos: true };
    let events = 0;
    try {
      for await (const _ of await full.completions.create(long, { signal: stop.signal })) {
        events += 1;
        if (events === 3) stop.abort();
      }
    } catch (error) {
      assert.ok(error instanceof OpenAI.APIUserAbortError, `${error}`);
    }
    assert.ok(events >= 3 && events < 200, `${events} events came`);
  }
  assert.equal((await full.completions.create(asked)).choices[0].text, whole);
});
