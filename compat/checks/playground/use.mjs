// node use.mjs URL LOCKED: LOCKED wants the key `right`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Visit, startBrowser } from "./page.mjs";
import { check, say } from "./tell.mjs";

const [url, locked] = process.argv.slice(2);
const code = "def add(a, b):\n    \n\nprint(add(1, 2))\n";
const greedy = { "max-tokens": 24, temperature: 0 };
const browser = await startBrowser();
say({ browser: browser.version() });
const wide = await Visit.to(browser, url);
const { page } = wide;

await check("typing, and the cursor's line and column as it moves", async () => {
  await page.fill("#text", "");
  await page.locator("#text").pressSequentially("x = 1");
  assert.equal(await page.textContent("#cursor"), "Line 1, column 6");
  await page.fill("#text", code);
  await wide.putCursor(2, 5);
  assert.equal(await page.textContent("#cursor"), "Line 2, column 5");
  await page.keyboard.press("Shift+End");
  await page.keyboard.press("Shift+ArrowDown");
  assert.match(await page.textContent("#cursor"), /Line 2, column 5, \d+ characters? to replace/);
});

const shown = await check("writing at the cursor: the answer, its number of tokens and seconds", async () => {
  await wide.set(greedy);
  await wide.putCursor(2, 5);
  const [answer] = await wide.ask();
  assert.ok(answer.length > 0);
  assert.match(await wide.status(/tokens/), /^([1-9]|1\d|2[0-4]) tokens/);
  return answer;
});

await check("the curl line, run in a shell, gives the same text; it can be copied", async () => {
  await page.click("summary");
  const line = await page.textContent("#curl");
  const answer = JSON.parse(execFileSync("sh", ["-c", line], { stdio: ["ignore", "pipe", "ignore"] }));
  assert.equal(answer.choices[0].text, shown);
  await page.click("#copy");
  await wide.status("Copied.");
  await page.fill("#text", "");
  await page.focus("#text");
  await page.keyboard.press("Control+V");
  assert.equal(await page.inputValue("#text"), line);
});

await check("an answer is put into the text at its place, and undone", async () => {
  await page.fill("#text", code);
  await wide.putCursor(2, 5);
  await wide.ask();
  await page.click("text=Put it into the text");
  assert.equal(await page.inputValue("#text"), code.replace("    \n", `    ${shown}\n`));
  await page.keyboard.press("Control+Z");
  assert.equal(await page.inputValue("#text"), code);
});

await check("samples stand side by side; a seed gives them again, another seed others", async () => {
  await wide.set({ samples: 2, temperature: 1, seed: 5 });
  const first = await wide.ask();
  assert.equal(new Set(first).size, 2);
  const [left, right] = await Promise.all([0, 1].map((n) => page.locator(".answer").nth(n).boundingBox()));
  assert.ok(right.x >= left.x + left.width && Math.abs(right.y - left.y) < 2, "one stands below the other");
  assert.deepEqual(await wide.ask(), first);
  await wide.set({ seed: 6 });
  assert.notDeepEqual(await wide.ask(), first);
});

await check("most tokens, temperature, top-p, stop and the suffix each have their effect", async () => {
  await wide.set({ ...greedy, samples: 1, seed: "" });
  const stop = shown.slice(5, 7);
  await wide.set({ "stop-at": stop });
  assert.deepEqual(await wide.ask(), [shown.slice(0, shown.indexOf(stop))]);
  await wide.set({ "stop-at": "", "max-tokens": 3 });
  await wide.ask();
  assert.match(await wide.status(/tokens/), /^3 tokens/);
  await wide.set({ "max-tokens": 24, temperature: 2, "top-p": 0.01, seed: 1 });
  assert.deepEqual(await wide.ask(), [shown]);
  await wide.set({ ...greedy, "top-p": 0.95, seed: "" });
  await page.uncheck("#use-suffix");
  assert.notDeepEqual(await wide.ask(), [shown]);
  await page.check("#use-suffix");
});

await check("a field out of its range is said at once, and nothing is asked", async () => {
  await wide.set({ temperature: 9 });
  const before = wide.asked.length;
  await page.click("#ask");
  assert.equal(await page.locator("#temperature:invalid").count(), 1);
  assert.equal(wide.asked.length, before);
  await wide.set({ temperature: 0 });
});

await check("probabilities under the mouse: each token has its own and what else was likely", async () => {
  await wide.ask();
  const tokens = page.locator(".token");
  await tokens.first().hover();
  for (const title of await tokens.evaluateAll((all) => all.map((one) => one.title))) {
    const [own, gap, ...others] = title.split("\n");
    assert.match(own, /^\d+\.\d %  "/);
    assert.ok(gap === "" && others.length >= 5, title);
  }
  await tokens.nth(1).click();
  assert.equal(await page.locator(".told").textContent(), await tokens.nth(1).getAttribute("title"));
});

await check("Esc stops an answer on its way; what came of it can be used", async () => {
  const endless = (route) => route.continue({ postData: { ...route.request().postDataJSON(), ignore_eos: true } });
  await page.route("**/v1/completions", endless);
  await wide.set({ "max-tokens": 1500, temperature: 1, samples: 8 });
  await page.click("#ask");
  await page.locator(".token:not([hidden])").nth(2).waitFor();
  await page.keyboard.press("Escape");
  await wide.status("Stopped.");
  assert.ok(await page.locator("button:enabled", { hasText: "Put it into the text" }).count());
  await page.unroute("**/v1/completions");
  await wide.set({ ...greedy, samples: 1 });
});

await check("with the keyboard alone: ask, go through tokens, put it in, ask again", async () => {
  const visit = await Visit.to(browser, url);
  const order = await visit.tabTo("ask");
  assert.deepEqual(order, ["text", "ask"]);
  await visit.ask(() => visit.page.keyboard.press("Enter"));
  const passed = await visit.tabTo("answer");
  for (const field of ["use-suffix", "max-tokens", "temperature", "top-p", "samples", "seed", "stop-at"]) {
    assert.ok(passed.includes(field), `${field} was not passed: ${passed.join(", ")}`);
  }
  await visit.page.keyboard.press("ArrowRight");
  const told = await visit.page.textContent(".told");
  assert.match(told, /^\d+\.\d %  "/);
  await visit.page.keyboard.press("ArrowRight");
  assert.equal(await visit.page.locator(".token.current").count(), 1);
  assert.notEqual(await visit.page.textContent(".told"), told);
  const before = await visit.page.inputValue("#text");
  assert.equal((await visit.tabTo("Put it into the text")).length, 1);
  await visit.page.keyboard.press("Enter");
  assert.notEqual(await visit.page.inputValue("#text"), before);
  assert.equal(await visit.focused(), "text");
  await visit.ask(() => visit.page.keyboard.press("Control+Enter"));
  await visit.tabTo("The same with curl");
  await visit.page.keyboard.press("Enter");
  assert.ok(await visit.page.isVisible("#curl"));
  await visit.tabTo("copy");
  assert.deepEqual(visit.complaints, []);
  await visit.context.close();
});

await check("on a phone, 360 and 320 pixels wide: no scrolling sideways, buttons of a finger's size, tapping", async () => {
  for (const width of [360, 320]) {
    const phone = await Visit.to(browser, url, { viewport: { width, height: 740 }, hasTouch: true, isMobile: true });
    assert.equal(await phone.overhang(), 0);
    await phone.set({ samples: 2, "max-tokens": 60 });
    await phone.ask(() => phone.page.tap("#ask"));
    await phone.page.tap("summary");
    assert.equal(await phone.overhang(), 0);
    for (const button of await phone.page.locator("button:visible").all()) {
      assert.ok((await button.boundingBox()).height >= 44, "a button is lower than 44 pixels");
    }
    await phone.page.locator(".token").first().tap();
    assert.match(await phone.page.locator(".told").first().textContent(), /^\d+\.\d %  "/);
    await phone.page.screenshot({ path: `screenshots/phone-${width}.png`, fullPage: true });
    await phone.context.close();
  }
});

await check("axe-core finds nothing: light and dark, wide and narrow, before and after an answer", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      const visit = await Visit.to(browser, url, { colorScheme, viewport: { width, height: 900 } });
      assert.deepEqual(await visit.violations(), []);
      await visit.set({ samples: 2, temperature: 1.5 });
      await visit.ask();
      await visit.page.click("summary");
      await visit.page.locator(".token").first().click();
      assert.deepEqual(await visit.violations(), []);
      await visit.page.screenshot({ path: `screenshots/${colorScheme}-${width}.png`, fullPage: true });
      await visit.context.close();
    }
  }
});

await check("a server with keys: the refusal is said, and the right key is let in", async () => {
  const visit = await Visit.to(browser, locked);
  await visit.set({ key: "wrong" });
  await visit.page.click("#ask");
  await visit.status("the API key is not one of this server");
  assert.ok(await visit.page.locator("#ask").isEnabled());
  assert.deepEqual(await visit.violations(), []);
  await visit.set({ key: "right" });
  assert.equal((await visit.ask()).length, 1);
  assert.ok(!(await visit.page.textContent("#curl")).includes("right"));
  await visit.context.close();
});

await check("no request left for another host, and the browser complained of nothing", async () => {
  assert.ok(wide.asked.length > 10);
  for (const asked of wide.asked) assert.ok(asked.startsWith(`${url}/`) || asked.startsWith("data:"), asked);
  assert.deepEqual(wide.complaints, []);
});
await browser.close();
