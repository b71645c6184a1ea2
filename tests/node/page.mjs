// The page of `sluice dev` in a browser: node page.mjs http://host:port [--screenshot FILE]
//
// CHROMIUM names the browser; /usr/bin/chromium if not set.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { limit } from "./_client.mjs";

const [url, flag, file] = process.argv.slice(2);
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const SOON = 30_000;

limit(110);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS,
});
const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
page.setDefaultTimeout(SOON);
const complaints = [];
page.on("console", (message) => {
  if (["error", "warning"].includes(message.type())) complaints.push(message.text());
});
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("requestfailed", (request) => {
  // A stream that the page stops is a request that failed.
  if (!request.url().endsWith("/api/demo/count")) complaints.push(`${request.url()} failed`);
});

/** The rows of the table: [arrow, text] each. */
const frames = () =>
  page.$$eval("#frames tbody tr", (rows) => rows.map((row) => [row.cells[1].innerText, row.cells[2].innerText]));

/** Waits until the frames are as wanted, and returns them. */
async function framesOnce(what, wanted) {
  const until = Date.now() + SOON;
  for (;;) {
    const now = await frames();
    if (wanted(now)) return now;
    if (Date.now() > until) assert.fail(`no ${what}: ${JSON.stringify(now.slice(-5))}`);
    await page.waitForTimeout(50);
  }
}

/** Envelopes among the frames; those of a socket have the event's name before them. */
function envelopes(rows, event) {
  const before = event ? `${event} ` : "";
  return rows
    .filter(([arrow, text]) => arrow === "←" && text.startsWith(`${before}{`))
    .map(([, text]) => JSON.parse(text.slice(before.length)));
}

async function pick(name) {
  await page.locator("#list button", { hasText: new RegExp(`^${name}`) }).click();
  await page.locator("#call-title", { hasText: `demo.${name}` }).waitFor();
}

const args = (value) => page.fill("#args", JSON.stringify(value));
const http = () => page.click("button[value=http]");
const socket = () => page.click("button[value=socket]");
const over = () => page.locator("#stop:disabled").waitFor();
const items = (all) => all.filter((e) => e.has_more && e.result).map((e) => e.result.n);
const ended = (event) => (rows) => envelopes(rows, event).some((e) => e.has_more === false);

const steps = {
  async "the functions are listed"() {
    await page.goto(url);
    await page.locator("#list button", { hasText: /^count/ }).waitFor();
    assert.match(await page.innerText("#status"), /^\d+ functions of 1 service$/);
    await page.fill("#filter", "where_");
    const shown = await page.$$eval("#list button", (all) => all.map((b) => b.firstChild.textContent));
    assert.ok(shown.length > 1 && shown.every((name) => name.startsWith("where_")), String(shown));
    await page.fill("#filter", "");
  },

  async "the form makes args"() {
    await pick("add");
    await page.fill("#fields input[name=a]", "4");
    await page.fill("#fields input[name=b]", "5");
    assert.deepEqual(JSON.parse(await page.inputValue("#args")), { a: 4, b: 5 });
    await http();
    const [answer] = envelopes(await framesOnce("answer", (rows) => envelopes(rows).length === 1));
    assert.deepEqual([answer.success, answer.result], [true, { sum: 9 }]);
    assert.match(await page.innerText("#curl"), /^curl .*\/api\/demo\/add/);
  },

  async "count over HTTP"() {
    await pick("count");
    await args({ to: 3 });
    await http();
    const rows = await framesOnce("end", ended());
    assert.deepEqual(rows[1], ["←", "200 OK"]);
    assert.deepEqual(items(envelopes(rows)), [1, 2, 3]);
    await over();
  },

  async "count over a socket"() {
    await args({ to: 3 });
    await socket();
    const rows = await framesOnce("end", ended("phoenix_gen_api"));
    assert.match(rows[0][1], /^socket push phoenix_gen_api/);
    assert.deepEqual(envelopes(rows, "phx_reply"), [{ status: "ok", response: "count" }]);
    assert.deepEqual(items(envelopes(rows, "phoenix_gen_api")), [1, 2, 3]);
    await over();
  },

  async "a stream over a socket is stopped"() {
    await args({ to: 1_000_000, delay_ms: 20 });
    await socket();
    await framesOnce("items", (rows) => items(envelopes(rows, "phoenix_gen_api")).length >= 3);
    await page.click("#stop");
    await framesOnce("end", ended("phoenix_gen_api"));
    const rows = await framesOnce("reply", (rows) => envelopes(rows, "phx_reply").length === 2);
    assert.deepEqual(envelopes(rows, "phx_reply")[1], { status: "ok", response: {} });
    await over();
  },

  async "a stream over HTTP is stopped"() {
    await http();
    await framesOnce("items", (rows) => items(envelopes(rows)).length >= 3);
    await page.click("#stop");
    await framesOnce("stop", (rows) => rows.some(([arrow, text]) => arrow === "×" && text === "stopped"));
    await over();
  },

  async "a refused call shows its error"() {
    await pick("fail");
    await args({ code: "out_of_tea", message: "no tea" });
    await socket();
    const rows = await framesOnce("error", (rows) => envelopes(rows, "phoenix_gen_api").length === 1);
    assert.equal(envelopes(rows, "phoenix_gen_api")[0].error_code, "out_of_tea");
    await page.locator("#frames tr.bad").first().waitFor();
    await over();
  },

  async "no error in the console"() {
    assert.deepEqual(complaints, []);
  },
};

try {
  for (const [name, step] of Object.entries(steps)) {
    await step();
    console.log(`page: ${name}`);
  }
  if (flag === "--screenshot") {
    await pick("count");
    await args({ to: 5 });
    await socket();
    await framesOnce("end", ended("phoenix_gen_api"));
    await page.screenshot({ path: file, fullPage: true });
  }
} finally {
  await browser.close();
}
console.log("ok");
process.exit(0);
