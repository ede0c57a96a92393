// A browser, and the playground in it as somebody meets it.
import assert from "node:assert/strict";
import chromium from "@sparticuz/chromium";
import axe from "axe-core";
import { chromium as playwright } from "playwright-core";

const SECONDS = 120;

/** Start Chromium; a container's root has no sandbox of its own. */
export async function startBrowser() {
  const executablePath = await chromium.executablePath();
  return playwright.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
}

/** The page of one visitor, with what it asked for and what it complained of. */
export class Visit {
  static async to(browser, url, options = {}) {
    const visit = new Visit();
    visit.context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    visit.context.setDefaultTimeout(1000 * SECONDS);
    visit.asked = [];
    visit.complaints = [];
    visit.context.on("request", (request) => visit.asked.push(request.url()));
    visit.page = await visit.context.newPage();
    visit.page.on("pageerror", (error) => visit.complaints.push(`${error}`));
    visit.page.on("console", (message) => message.type() === "error" && visit.complaints.push(message.text()));
    await visit.page.goto(url);
    return visit;
  }

  /** Fill fields by their ids. */
  async set(fields) {
    for (const [id, value] of Object.entries(fields)) await this.page.fill(`#${id}`, `${value}`);
  }

  async putCursor(line, column) {
    const text = this.page.locator("#text");
    await text.focus();
    await text.press("Control+Home");
    for (let count = 1; count < line; count += 1) await text.press("ArrowDown");
    for (let count = 1; count < column; count += 1) await text.press("ArrowRight");
  }

  async status(pattern) {
    await this.page.locator("#status").filter({ hasText: pattern }).waitFor();
    return this.page.locator("#status").textContent();
  }

  /** Ask, and return the texts of the answers as they are shown. */
  async ask(how = () => this.page.click("#ask")) {
    await how();
    await this.status(/tokens in .* s, the first after/);
    return this.page.locator(".answer").allTextContents();
  }

  /** What has the focus: an id, or else its class or its words. */
  focused() {
    return this.page.evaluate(() => {
      const { id, className, textContent } = document.activeElement;
      return id || className || textContent.trim();
    });
  }

  /** Press Tab until something has the focus; return what had it on the way. */
  async tabTo(name, most = 30) {
    const passed = [];
    while (passed.at(-1) !== name) {
      assert.ok(passed.length < most, `Tab did not come to ${name}, but to ${passed.join(", ")}`);
      await this.page.keyboard.press("Tab");
      passed.push(await this.focused());
    }
    return passed;
  }

  /** How far the page is wider than its window, in pixels. */
  overhang() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  /** What axe-core finds, a line each. */
  async violations() {
    await this.page.evaluate(axe.source);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run());
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} at ${node.target.join(" ")}: ${node.failureSummary}`));
  }
}
