"use strict";
const find = (id) => document.getElementById(id);
const text = find("text");
let running = null; // what stops the request that is on its way

function place() {
  const before = text.value.slice(0, text.selectionStart).split("\n");
  const selected = text.selectionEnd - text.selectionStart;
  const what = selected ? `, ${selected} characters to replace` : "";
  find("cursor").textContent = `Line ${before.length}, column ${before.at(-1).length + 1}${what}`;
}

/** The request for where the cursor is, as the server gets it. */
function request() {
  const body = {
    prompt: text.value.slice(0, text.selectionStart),
    max_tokens: find("max-tokens").valueAsNumber,
    temperature: find("temperature").valueAsNumber,
    top_p: find("top-p").valueAsNumber,
    n: find("samples").valueAsNumber,
  };
  if (find("use-suffix").checked) body.suffix = text.value.slice(text.selectionEnd);
  if (find("seed").value !== "") body.seed = find("seed").valueAsNumber;
  const stop = find("stop-at").value.replaceAll("\\n", "\n").replaceAll("\\t", "\t");
  if (stop) body.stop = [stop];
  return body;
}

function headers() {
  const key = find("key").value;
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

function showCurl(body) {
  const quoted = JSON.stringify(body).replaceAll("'", "'\\''");
  const key = find("key").value ? " \\\n  -H \"Authorization: Bearer $KEY\"" : "";
  find("curl").textContent =
    `curl ${location.origin}/v1/completions \\\n  -H 'Content-Type: application/json'${key} \\\n  -d '${quoted}'`;
}

/** The bytes of a token, which is named by its text, or as `bytes:` if it is a part of a character. */
function bytesOf(name) {
  if (!name.startsWith("bytes:")) return new TextEncoder().encode(name);
  return Uint8Array.from(name.matchAll(/\\x([0-9a-f]{2})/g), (match) => parseInt(match[1], 16));
}

const ENDS = {
  stop: "ended by itself or at the stop",
  length: "most tokens reached",
  content_filter: "ended in front of what stands in the training data",
};

/** One answer on the page: its text, its tokens, and what can be done with it. */
class Answer {
  constructor(start, end) {
    this.start = start;
    this.end = end;
    this.text = "";
    this.shown = ""; // what all tokens stand for
    this.tokens = []; // of each: where it begins and ends in that, and its place on the page
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.item = document.createElement("li");
    this.view = document.createElement("div");
    this.view.className = "answer";
    this.view.tabIndex = 0;
    this.view.setAttribute("role", "group");
    this.view.setAttribute("aria-label", "Answer; the arrow keys go through its tokens");
    this.view.addEventListener("keydown", (event) => this.walk(event));
    this.view.addEventListener("click", (event) => this.tell(event.target.closest(".token")));
    this.take = document.createElement("button");
    this.take.type = "button";
    this.take.textContent = "Put it into the text";
    this.take.disabled = true;
    this.take.addEventListener("click", () => this.insert());
    this.said = document.createElement("p");
    this.said.className = "note told";
    this.said.setAttribute("aria-live", "polite");
    this.item.append(this.view, this.take, this.said);
  }

  add(choice) {
    this.text += choice.text;
    const told = choice.logprobs;
    told.tokens.forEach((name, index) => this.addToken(name, told.token_logprobs[index], told.top_logprobs[index]));
    this.fit();
    if (choice.finish_reason) {
      this.said.textContent = ENDS[choice.finish_reason];
      this.take.disabled = false;
    }
  }

  addToken(name, logprob, top) {
    const shown = this.decoder.decode(bytesOf(name), { stream: true });
    if (!shown) return; // a part of a character: wait until it is whole
    const span = document.createElement("span");
    const share = Math.exp(logprob);
    span.className = `token p${share > 0.8 ? 0 : share > 0.5 ? 1 : share > 0.2 ? 2 : share > 0.05 ? 3 : 4}`;
    const others = Object.entries(top).sort((a, b) => b[1] - a[1]);
    const line = ([word, value]) => `${(100 * Math.exp(value)).toFixed(1)} %  ${JSON.stringify(word)}`;
    span.title = [line([name, logprob]), "", ...others.map(line)].join("\n");
    this.tokens.push({ start: this.shown.length, end: this.shown.length + shown.length, span });
    this.shown += shown;
    this.view.append(span);
  }

  /** Show what is text: the first token may begin in front of the cursor, the last may be the end or a stop. */
  fit() {
    const first = Math.max(0, this.shown.indexOf(this.text));
    for (const { start, end, span } of this.tokens) {
      const part = this.shown.slice(Math.max(start, first), Math.min(end, first + this.text.length));
      if (span.textContent !== part) span.textContent = part;
      span.hidden = !part;
    }
  }

  /** Go to the next or the last token with the arrow keys. */
  walk(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const tokens = [...this.view.querySelectorAll(".token:not([hidden])")];
    const now = tokens.findIndex((token) => token.classList.contains("current"));
    this.tell(tokens[Math.min(tokens.length - 1, Math.max(0, now + step))]);
  }

  /** Say how likely a token was, and what else was likely there. */
  tell(token) {
    if (!token) return;
    this.view.querySelector(".current")?.classList.remove("current");
    token.classList.add("current");
    this.said.textContent = token.title;
  }

  insert() {
    text.focus();
    text.setSelectionRange(this.start, this.end);
    // Goes through the editor's own history, so that undo takes it back.
    if (!document.execCommand("insertText", false, this.text)) text.setRangeText(this.text, this.start, this.end, "end");
    place();
  }
}

/** Yield what each event of a stream of server-sent events holds. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
    }
  }
}

function say(words, isError = false) {
  find("status").textContent = words;
  find("status").classList.toggle("error", isError);
}

async function ask() {
  const body = request();
  showCurl(body);
  const answers = Array.from({ length: body.n }, () => new Answer(text.selectionStart, text.selectionEnd));
  find("answers").replaceChildren(...answers.map((answer) => answer.item));
  const started = performance.now();
  let first = null;
  let tokens = 0;
  running = new AbortController();
  find("ask").disabled = true;
  find("stop").disabled = false;
  say("The model is writing …");
  try {
    const response = await fetch("/v1/completions", {
      method: "POST",
      headers: headers(),
      body: JSON.stringify({ ...body, stream: true, logprobs: 5 }),
      signal: running.signal,
    });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      for (const choice of event.choices) {
        first ??= performance.now();
        tokens += choice.logprobs.tokens.length;
        answers[choice.index].add(choice);
      }
    }
    const seconds = (performance.now() - started) / 1000;
    say(`${tokens} tokens in ${seconds.toFixed(2)} s, the first after ${((first - started) / 1000).toFixed(2)} s.`);
  } catch (error) {
    if (error.name === "AbortError") say("Stopped.");
    else say(error.message, true);
    answers.forEach((answer) => { answer.take.disabled = !answer.text; });
  } finally {
    running = null;
    find("ask").disabled = false;
    find("stop").disabled = true;
  }
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) find("form").requestSubmit();
  if (event.key === "Escape" && running) running.abort();
});
find("stop").addEventListener("click", () => running?.abort());
find("copy").addEventListener("click", () => {
  // navigator.clipboard is not there on a page that came over http from another machine.
  getSelection().selectAllChildren(find("curl"));
  say(document.execCommand("copy") ? "Copied." : "The command is selected; copy it with your keys.");
});
for (const name of ["keyup", "click", "select", "input"]) text.addEventListener(name, place);
const blank = text.value.indexOf('"""\n    \n') + 8; // behind the blanks of the empty line
text.setSelectionRange(blank, blank);
place();
showCurl(request());
