// The console in Chromium, over real processes: every task, with keyboard, screen reader rules, a phone, wrong roles
// and an outage.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "playwright-core";
import { connect } from "../../clients/typescript/src/index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { createAuthority, type TestCertificate } from "../support/certificates.ts";
import { isShown, launchChromium, openContext, seriousFaults } from "./console/browser.ts";
import { freePort } from "./support/ports.ts";
import { createReport } from "./support/report.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { installDebianProgram } from "./support/tools.ts";

const takesScreenshots = process.argv.includes("--screenshots");
const images = resolve(import.meta.dirname, "../../docs/images");
const crowded = 10_000;
const dayMs = 86_400_000;
/** What the suite takes at the most. */
const longestMs = 300_000;
const lookupLabel = "Token id, leaked key, account or name";

/** Controls that reach out of their card. */
const overflowing = `[...document.querySelectorAll(".card")].flatMap((card) =>
  [...card.querySelectorAll("input, select, textarea, button, table")]
    .filter((one) => one.getBoundingClientRect().right > card.getBoundingClientRect().right)
    .map((one) => one.id || one.className))`;

type Made = { readonly token: { readonly id: string; readonly keyHint: string }; readonly key: string };

const report = createReport("console");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-console-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
await installDebianProgram("chromium", "chromium");

/** One that can be killed and started again where it was. */
async function start(name: string, settings: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  const started = await startServerProcess({
    dataDirectory: join(scratch.path, name),
    sealingSecret,
    settings: { CONSOLE_LISTEN: "127.0.0.1:0", MAX_TOKENS_PER_ACCOUNT: "20000", ...settings },
    onLine(line) {
      if (line.includes('"msg":"key refused"')) {
        refusalLines.push(line);
      }
    },
  });
  servers.push(started);
  return started;
}

const servers: ServerProcess[] = [];
const refusalLines: string[] = [];
/** Kept from one life to the next, whatever connections go out meanwhile. */
const addresses = { LISTEN: `127.0.0.1:${await freePort()}`, CONSOLE_LISTEN: `127.0.0.1:${await freePort()}` };
let server = await start("data", addresses);
const { consoleAddress } = server;
const origin = `http://${consoleAddress}`;
const browser = await launchChromium();
const { page, watch, context } = await openContext(browser, { permissions: ["clipboard-read", "clipboard-write"] });

async function rpc<Answer>(name: string, request: object): Promise<Answer> {
  const response = await fetch(`http://${server.address}/casapay.token.v1.TokenService/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return JSON.parse(await response.text());
}

function issue(name: string, facts: object = {}): Promise<Made> {
  const type = "TOKEN_TYPE_RESTRICTED";
  return rpc("Create", { account: "acct_harbor", name, type, livemode: true, permissions: ["events:write"], ...facts });
}

/** From nowhere, so that nothing of the view before is taken for this one. */
async function go(where: string, on: Page = page): Promise<void> {
  await on.goto("about:blank");
  await on.goto(`${origin}/#/${where}`);
  await settled(on);
}

async function settled(on: Page = page): Promise<void> {
  await isShown(on);
  await on.locator("h1").waitFor();
  await on.locator("[aria-busy]").first().waitFor({ state: "detached" });
}

/** Waits for midnight where it would come upon the suite: the days that it asks for are of UTC. */
async function pastMidnight(): Promise<void> {
  const leftMs = dayMs - (Date.now() % dayMs);
  if (leftMs < longestMs) {
    await sleep(leftMs);
  }
}

/** The names in the list. */
async function listed(): Promise<readonly string[]> {
  await settled();
  return await page.locator("table.tokens tbody th a").allTextContents();
}

/** As a person does: it goes through the clipboard. */
async function paste(text: string): Promise<void> {
  await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
  await page.getByLabel(lookupLabel).focus();
  await page.keyboard.press("Control+V");
}

// The steps ask for the days of these.
await pastMidnight();
const till = await issue("Till", { permissions: ["payment_intents:read", "events:write"] });
const secret = await issue("Ledger sync", { type: "TOKEN_TYPE_SECRET", permissions: [], account: "acct_kesh" });
await issue("Checkout web", { type: "TOKEN_TYPE_PUBLISHABLE", permissions: [], livemode: false });
const old = await issue("Old export");
await rpc("Revoke", { id: old.token.id, reason: "not needed any more" });

await report.step("find a token by its id", async () => {
  await go("");
  await page.getByLabel(lookupLabel).fill(` ${till.token.id} `);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Till" }).waitFor();
});
await report.step(
  "an account or a name in the look-up field leads to its tokens, and a part of a key to nothing",
  async () => {
    for (const [text, where, names] of [
      ["acct_kesh", "account=acct_kesh", ["Ledger sync"]],
      ["ledger", "name=ledger", ["Ledger sync"]],
    ] as const) {
      await go("");
      await page.getByLabel(lookupLabel).fill(text);
      await page.keyboard.press("Enter");
      await page.waitForURL(`**/#/tokens?${where}`);
      assert.deepEqual(await listed(), names);
    }
    for (const part of [secret.key.slice(0, 30), secret.key.slice(9, 42)]) {
      await go("");
      await page.getByLabel(lookupLabel).fill(part);
      await page.keyboard.press("Enter");
      await page.getByText("may be a part of a key").waitFor();
      assert.equal(page.url(), `${origin}/#/`);
      assert.ok(watch.requests.every(({ body }) => !body.includes(part)));
    }
  },
);
await report.step("find tokens by account, name, permission, hint, state, type, mode, creator and days", async () => {
  const tomorrow = new Date(Date.now() + dayMs).toISOString().slice(0, 10);
  const today = new Date().toISOString().slice(0, 10);
  const all = ["Old export", "Checkout web", "Ledger sync", "Till"];
  const brief = await issue("Brief", {
    account: "acct_brief",
    expireTime: new Date(Date.now() + 60_000).toISOString(),
  });
  await rpc("Revoke", { id: brief.token.id });
  const filters = [
    ["account", "acct_kesh", ["Ledger sync"]],
    ["name", "tILL", ["Till"]],
    ["permission", "payment_intents:read", ["Ledger sync", "Till"]],
    ["hint", till.token.keyHint, ["Till"]],
    ["state", "expired", []],
    ["state", "revoked", ["Brief", "Old export"]],
    ["type", "publishable", ["Checkout web"]],
    ["mode", "test", ["Checkout web"]],
    ["by", "nobody", []],
    ["by", "local", ["Brief", ...all]],
    ["from", tomorrow, []],
    ["to", today, ["Brief", ...all]],
    ["expiring", tomorrow, ["Brief"]],
    ["unused", today, []],
    ["unused", tomorrow, ["Brief", ...all]],
  ] as const;
  for (const [name, value, expected] of filters) {
    await go("tokens");
    const control = page.locator(`#filter-${name}`);
    await (["state", "type", "mode"].includes(name) ? control.selectOption(value) : control.fill(value));
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(`**/#/tokens?${name}=*`);
    assert.deepEqual(await listed(), expected, name);
  }
});
await report.step("reload, back and forward keep the search", async () => {
  await go("tokens?account=acct_kesh");
  await page.reload();
  assert.deepEqual(await listed(), ["Ledger sync"]);
  assert.equal(await page.locator("#filter-account").inputValue(), "acct_kesh");
  await page.getByRole("link", { name: "Ledger sync" }).click();
  await page.getByRole("heading", { level: 1, name: "Ledger sync" }).waitFor();
  await page.goBack();
  assert.deepEqual(await listed(), ["Ledger sync"]);
});
await report.step("find a token by pasting its key, alone, quoted, wrapped and inside other text", async () => {
  const wrapped = `${secret.key.slice(0, 20)}\n  ${secret.key.slice(20)}`;
  const texts = [secret.key, `"${secret.key}"`, wrapped, `export CASAPAY_KEY=${secret.key} # prod`];
  for (const text of texts) {
    await go("");
    await paste(text);
    await page.getByRole("heading", { level: 1, name: "Ledger sync" }).waitFor();
  }
  await go("");
  await page.getByLabel(lookupLabel).fill(secret.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Ledger sync" }).waitFor();
  await page.goBack();
  await settled();
  assert.equal(await page.getByLabel(lookupLabel).inputValue(), "");
});
await report.step("say of a damaged key that it is one, and of an unknown one that no token has it", async () => {
  await go("");
  await paste(`${secret.key.slice(0, -1)}${secret.key.endsWith("0") ? "1" : "0"}`);
  await page.getByText("its checksum is wrong").waitFor();
  const other = await start("other");
  await using _end = other;
  const before = server;
  server = other;
  const { key } = await issue("elsewhere");
  server = before;
  await paste(key);
  await page.getByText("no token here has it").waitFor();
});
await report.step("a key in another field is taken out before it gets anywhere", async () => {
  await go("tokens");
  await page.locator("#filter-name").fill(till.key);
  assert.equal(await page.locator("#filter-name").inputValue(), "");
  await page.getByRole("status").filter({ hasText: "taken out again" }).waitFor();
  await page.goto(`${origin}/#/tokens?name=${till.key}`);
  await settled();
  assert.equal(page.url(), `${origin}/#/`);
});
await report.step("see what a token may do, its life and its last use", async () => {
  await rpc("Authenticate", { key: till.key });
  await go(`tokens/${old.token.id}`);
  const life = page.getByRole("region", { name: "Life" });
  assert.deepEqual(await life.locator("tbody .badge").allTextContents(), ["revoked", "created"]);
  await life.getByText("not needed any more").waitFor();
  const facts = page.getByRole("region", { name: "Facts" });
  assert.match(
    (await facts.locator("dl > div", { hasText: "Revoked" }).locator("dd").textContent()) ?? "",
    / by local$/,
  );
  await facts.getByText("not needed any more").waitFor();
  await go(`tokens/${till.token.id}`);
  const may = page.getByRole("region", { name: "What it may do" });
  assert.deepEqual(await may.locator("li").allTextContents(), ["payment_intents:read", "events:write"]);
  // Written behind.
  for (const until = Date.now() + 30_000; ; ) {
    await page.reload();
    await settled();
    const used = await page.locator("dl > div", { hasText: "Last used" }).locator("dd").textContent();
    if (used !== "never") {
      break;
    }
    assert.ok(Date.now() < until, "the last use is not shown");
  }
});

let createdKey = "";
await report.step("create a token: the key is shown once, copied, and gone on leaving", async () => {
  await go("create");
  await page.getByLabel("Account", { exact: true }).fill("acct_new");
  await page.getByLabel("Name", { exact: true }).fill("From the page");
  await page.getByLabel("Permissions", { exact: true }).fill("events:read\npayment_intents:write");
  await page.getByRole("button", { name: "Create token" }).click();
  const dialog = page.getByRole("dialog");
  createdKey = (await dialog.getByLabel("The new key").textContent()) ?? "";
  assert.match(createdKey, /^rk_test_[0-9A-Za-z]{38}$/);
  assert.deepEqual(await seriousFaults(page), []);
  await dialog.getByRole("button", { name: "Done" }).click();
  await dialog.getByText("was not copied").waitFor();
  await dialog.getByRole("button", { name: "Copy the key" }).click();
  await page.getByText("Copied the key").waitFor();
  assert.equal(await page.evaluate("navigator.clipboard.readText()"), createdKey);
  await dialog.getByRole("button", { name: "Done" }).click();
  await page.getByRole("heading", { level: 1, name: "From the page" }).waitFor();
  await page.goBack();
  await settled();
  assert.ok(!(await page.content()).includes(createdKey));
  assert.deepEqual(await page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]"), [0, 0, ""]);
});
await report.step("a key that is shown is gone when the page is left by its address or by back", async () => {
  for (const leave of [() => page.evaluate("location.hash = '#/accounts'"), () => page.goBack()]) {
    await go("tokens");
    await page.getByRole("banner").getByRole("link", { name: "Create token" }).click();
    await page.getByRole("heading", { level: 1, name: "Create token" }).waitFor();
    await page.getByLabel("Account", { exact: true }).fill("acct_new");
    await page.getByLabel("Name", { exact: true }).fill("Left alone");
    await page.getByLabel("secret").check();
    await page.getByRole("button", { name: "Create token" }).click();
    await page.getByLabel("The new key").waitFor();
    await leave();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.doesNotMatch(await page.content(), /sk_test_[0-9A-Za-z]{38}/);
  }
});
await report.step("an expiry is chosen with one press, and taken away with one", async () => {
  await go("create");
  const expires = page.getByLabel("Expires (UTC)");
  for (const [name, days] of [
    ["7 days", 7],
    ["30 days", 30],
    ["90 days", 90],
    ["1 year", 365],
  ] as const) {
    await page.getByRole("button", { name }).click();
    const inDays = (Date.parse(`${await expires.inputValue()}Z`) - Date.now()) / dayMs;
    assert.ok(Math.abs(inDays - days) < 0.01, `${name} is ${inDays} days`);
  }
  await page.getByRole("button", { name: "never" }).click();
  assert.equal(await expires.inputValue(), "");
  await page.getByLabel("Account", { exact: true }).fill("acct_new");
  await page.getByLabel("Name", { exact: true }).fill("For a week");
  await page.getByLabel("Permissions", { exact: true }).fill("events:read");
  await page.getByRole("button", { name: "7 days" }).click();
  await page.getByRole("button", { name: "Create token" }).click();
  await page.getByLabel("The new key").waitFor();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Done" }).click();
  await page
    .locator("dl > div", { hasText: "Expires" })
    .getByText(/in [67] days/)
    .waitFor();
});
await report.step("a field that is refused is told beside it, in plain words and with its line", async () => {
  await go("create");
  await page.getByLabel("Account", { exact: true }).fill("acct_new");
  await page.getByLabel("Name", { exact: true }).fill("Wrong");
  await page.getByLabel("Permissions", { exact: true }).fill("events:read\neverything");
  await page.getByRole("button", { name: "Create token" }).click();
  await page.locator("#create-permissions[aria-invalid=true]").waitFor();
  assert.match(
    (await page.locator("#create-permissions-error").textContent()) ?? "",
    /^Line 2, “everything”: A permission is a resource, a colon, and read or write/,
  );
  assert.equal(await page.evaluate("document.activeElement?.id"), "create-permissions");
});
await report.step("revoke a token with the keyboard alone, after a confirmation that names it", async () => {
  const { token, key } = await issue("Nightly export");
  await go("tokens?name=Nightly");
  await tabTo("link", "Nightly export");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Revoke…" }).waitFor();
  await tabTo("button", "Revoke…");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Revoke “Nightly export”?" });
  await dialog.waitFor();
  await page.keyboard.type("found in a public repository");
  await page.keyboard.press("Tab");
  await page.keyboard.type("zzzz");
  await page.keyboard.press("Enter");
  await dialog.getByText("These are not the last 4 characters").waitFor();
  assert.equal((await rpc<{ token: { state: string } }>("Get", { id: token.id })).token.state, "TOKEN_STATE_ACTIVE");
  await page.keyboard.press("Control+A");
  await page.keyboard.type(token.keyHint);
  await page.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  await page.getByText("found in a public repository", { exact: true }).waitFor();
  await page.locator("h1:focus").waitFor();
  const { refusal } = await rpc<{ refusal: { reason: string } }>("Authenticate", { key });
  assert.equal(refusal.reason, "REFUSAL_REASON_TOKEN_REVOKED");
});
await report.step("with the keyboard alone: skip to the content, and close a dialog without harm", async () => {
  await go("");
  await page.reload();
  await settled();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement?.textContent"), "Skip to content");
  await go(`tokens/${till.token.id}`);
  await tabTo("button", "Revoke…");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal(await page.evaluate("document.activeElement?.textContent"), "Revoke…");
});
await report.step("accounts with their counts, and from a count to its tokens", async () => {
  await go("accounts?prefix=acct_h");
  const cells = await page.locator("tbody tr", { hasText: "acct_harbor" }).locator("th, td").allTextContents();
  assert.deepEqual(cells, ["acct_harbor", "2", "0", "2"]);
  await page.getByRole("link", { name: "2 revoked tokens of acct_harbor" }).click();
  await page.waitForURL("**/#/tokens?account=acct_harbor&state=revoked");
  assert.deepEqual(await listed(), ["Nightly export", "Old export"]);
});
await report.step("the journal's head, as verify-journal takes it, copied", async () => {
  await go("journal");
  await page.getByRole("button", { name: "Copy the journal's head" }).click();
  await page.getByText("Copied the journal's head").waitFor();
  const { changes } = await rpc<{ changes: { revision: string; hash: string }[] }>("ListChanges", { pageSize: 1 });
  const head = `${changes[0]?.revision}:${Buffer.from(changes[0]?.hash ?? "", "base64").toString("hex")}`;
  assert.equal(await page.evaluate("navigator.clipboard.readText()"), head);
});
await report.step("the journal by who did it, account, change and day, with names, accounts and reasons", async () => {
  const today = new Date().toISOString().slice(0, 10);
  const yesterday = new Date(Date.now() - dayMs).toISOString().slice(0, 10);
  const rows = page.locator("table.changes tbody tr");
  for (const [name, value, first] of [
    ["account", "acct_kesh", /Ledger sync.*acct_kesh/],
    ["action", "revoke", /revoked.*Nightly export“found in a public repository”.*acct_harbor/],
    ["caller", "local", /local/],
    ["caller", "nobody", null],
    ["day", today, /local/],
    ["day", yesterday, null],
  ] as const) {
    await go("journal");
    const control = page.locator(`#filter-${name}`);
    await (name === "action" ? control.selectOption(value) : control.fill(value));
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL(`**/#/journal?${name}=*`);
    await settled();
    if (first === null) {
      await page.getByText("There is no such change.").waitFor();
    } else {
      assert.match((await rows.first().textContent()) ?? "", first, name);
    }
  }
  await go("journal?account=acct_kesh&action=create");
  assert.equal(await rows.count(), 1);
});
/** Why the key is refused, or null. */
async function refusalOf(key: string): Promise<string | null> {
  const { refusal } = await rpc<{ refusal?: { reason: string } }>("Authenticate", { key });
  return refusal === undefined ? null : refusal.reason.replace("REFUSAL_REASON_", "");
}

await report.step(
  "an operator's day: a leaked key is found, its token rotated, the old key watched and cut",
  async () => {
    const { token, key } = await issue("Shop backend", { account: "acct_day" });
    assert.equal(await refusalOf(key), null);
    await go("");
    await paste(key);
    await page.getByRole("heading", { level: 1, name: "Shop backend" }).waitFor();
    const keys = page.getByRole("region", { name: "Keys" });
    await page.getByRole("button", { name: "Rotate…" }).click();
    const question = page.getByRole("dialog", { name: "Rotate the key of “Shop backend”?" });
    await question.getByLabel("The old key lives on for").selectOption("1 hour");
    assert.deepEqual(await seriousFaults(page), []);
    await shoot(page, "light", "rotate");
    await question.getByRole("button", { name: "Issue a new key" }).click();
    const shown = page.getByRole("dialog", { name: "The key of “Shop backend”" });
    const newKey = (await shown.getByLabel("The new key").textContent()) ?? "";
    assert.match(newKey, /^rk_live_[0-9A-Za-z]{38}$/);
    assert.notEqual(newKey, key);
    await shown.getByRole("button", { name: "Copy the key" }).click();
    await shown.getByRole("button", { name: "Done" }).click();
    await keys.getByText(/in 5\d minutes|in 1 hour/).waitFor();
    assert.ok(!(await page.content()).includes(newKey));
    assert.deepEqual([await refusalOf(key), await refusalOf(newKey)], [null, null]);
    // Written behind.
    for (const until = Date.now() + 30_000; ; ) {
      await page.reload();
      await settled();
      const cells = await keys.locator("tbody tr").last().locator("td").allTextContents();
      if (cells.at(-1) !== "never") {
        break;
      }
      assert.ok(Date.now() < until, "the last use of the old key is not shown");
    }
    await shoot(page, "light", "rotation");
    await page.getByRole("button", { name: "Move its end…" }).click();
    const move = page.getByRole("dialog", { name: "Move the end of the old key of “Shop backend”" });
    await move.getByLabel("Ends (UTC)").fill(new Date(Date.now() + 3 * dayMs).toISOString().slice(0, 16));
    await move.getByRole("button", { name: "Move the end" }).click();
    await keys.getByText(/in [23] days/).waitFor();
    await page.getByRole("button", { name: "End the old key now…" }).click();
    const cut = page.getByRole("dialog", { name: "End the old key of “Shop backend” now?" });
    await cut.getByLabel("To confirm, type the last 4 characters of the old key").fill("zzzz");
    await cut.getByRole("button", { name: "End the old key" }).click();
    await cut.getByText("These are not the last 4 characters").waitFor();
    assert.equal(await refusalOf(key), null);
    await cut.getByLabel("To confirm, type the last 4 characters of the old key").fill(key.slice(-4));
    await cut.getByRole("button", { name: "End the old key" }).click();
    await keys.getByText("retired").waitFor();
    assert.deepEqual([await refusalOf(key), await refusalOf(newKey)], ["KEY_RETIRED", null]);
    const life = page.getByRole("region", { name: "Life" });
    await life.getByText("key ended").first().waitFor();
    assert.deepEqual(await life.locator("tbody .badge").allTextContents(), [
      "key ended",
      "key ended",
      "rotated",
      "created",
    ]);
    assert.equal((await rpc<{ token: { id: string } }>("Get", { id: token.id })).token.id, token.id);
  },
);
await report.step("a rotation is cancelled: the new key ends, and the old one goes on", async () => {
  const { token, key } = await issue("Cancelled", { account: "acct_day" });
  const { key: newKey } = await rpc<Made>("RotateKey", { id: token.id, overlap: "3600s" });
  await go(`tokens/${token.id}`);
  await page.getByRole("button", { name: "Cancel the rotation…" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel the rotation of “Cancelled”?" });
  await dialog.getByLabel("To confirm, type the last 4 characters of the new key").fill(newKey.slice(-4));
  await dialog.getByRole("button", { name: "Cancel the rotation" }).click();
  await page.getByRole("button", { name: "Rotate…" }).waitFor();
  assert.deepEqual([await refusalOf(key), await refusalOf(newKey)], [null, "KEY_RETIRED"]);
});
await report.step("a key of a rotation is gone when the page is left", async () => {
  const { token } = await issue("Left in a rotation", { account: "acct_day" });
  for (const leave of [() => page.evaluate("location.hash = '#/accounts'"), () => page.goBack()]) {
    await go("tokens?account=acct_day");
    await page.getByRole("link", { name: "Left in a rotation" }).click();
    await page.getByRole("button", { name: /^Rotate/ }).click();
    await page.getByRole("button", { name: "Issue a new key" }).click();
    await page.getByLabel("The new key").waitFor();
    await leave();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.doesNotMatch(await page.content(), /rk_live_[0-9A-Za-z]{38}/);
  }
  await rpc("Revoke", { id: token.id });
});
await report.step("a token is held, looked at, and released", async () => {
  const { token, key } = await issue("Held alone", { account: "acct_day" });
  await go(`tokens/${token.id}`);
  await page.getByRole("button", { name: "Hold…" }).click();
  const hold = page.getByRole("dialog", { name: "Hold “Held alone”?" });
  await hold.getByLabel("Reason").fill("strange traffic");
  await hold.getByRole("button", { name: "Hold “Held alone”" }).click();
  await page.getByRole("button", { name: "Release…" }).waitFor();
  assert.equal(await refusalOf(key), "TOKEN_HELD");
  await page.getByText("“strange traffic”").waitFor();
  await go("tokens?held=yes");
  assert.deepEqual(await listed(), ["Held alone"]);
  await go(`tokens/${token.id}`);
  await page.getByRole("button", { name: "Release…" }).click();
  await page.getByRole("button", { name: "Release “Held alone”" }).click();
  await page.getByRole("button", { name: "Hold…" }).waitFor();
  assert.equal(await refusalOf(key), null);
});
await report.step("a fraudulent account is held, looked at, released; another is closed", async () => {
  const { key } = await issue("Shop", { account: "acct_fraud" });
  await go("tokens?account=acct_fraud");
  const account = page.getByRole("region", { name: "Account", exact: true });
  await account.getByRole("button", { name: "Hold…" }).click();
  const hold = page.getByRole("dialog", { name: "Hold account acct_fraud?" });
  await hold.getByLabel("Reason").fill("chargebacks");
  assert.deepEqual(await seriousFaults(page), []);
  await hold.getByRole("button", { name: "Hold account acct_fraud" }).click();
  await account.getByText("held").waitFor();
  assert.equal(await refusalOf(key), "ACCOUNT_HELD");
  await shoot(page, "light", "held-account");
  await go("accounts?prefix=acct_fraud");
  await page.getByRole("row").filter({ hasText: "acct_fraud" }).getByText("held").waitFor();
  await go("tokens?account=acct_fraud");
  await account.getByRole("button", { name: "Release…" }).click();
  await page.getByRole("button", { name: "Release account acct_fraud" }).click();
  await account.getByText("open").waitFor();
  assert.equal(await refusalOf(key), null);

  const { key: other } = await issue("Shop", { account: "acct_gone" });
  await go("tokens?account=acct_gone");
  await account.getByRole("button", { name: "Close…" }).click();
  const close = page.getByRole("dialog", { name: "Close account acct_gone?" });
  await close.getByLabel("To confirm, type the account's name").fill("acct_gon");
  await close.getByRole("button", { name: "Close account acct_gone" }).click();
  await close.getByText("This is not acct_gone.").waitFor();
  assert.equal(await refusalOf(other), null);
  await close.getByLabel("To confirm, type the account's name").fill("acct_gone");
  await close.getByRole("button", { name: "Close account acct_gone" }).click();
  await account.getByText("It stays so.").waitFor();
  assert.equal(await refusalOf(other), "ACCOUNT_CLOSED");
});
await report.step("saved searches find what expires soon, what is not used, and rotations under way", async () => {
  const inDays = (days: number) => new Date(Date.now() + days * dayMs).toISOString();
  await issue("Ends soon", { account: "acct_saved", expireTime: inDays(10) });
  await issue("Ends late", { account: "acct_saved", expireTime: inDays(60) });
  const { token } = await issue("Turning", { account: "acct_saved" });
  await rpc("RotateKey", { id: token.id, overlap: "3600s" });
  for (const [name, names] of [
    ["Expire within 30 days", ["Ends soon", "For a week"]],
    ["Not used for 90 days", []],
    ["Rotations under way", ["Turning"]],
  ] as const) {
    await go("tokens");
    await page.getByRole("navigation", { name: "Saved searches" }).getByRole("link", { name }).click();
    await page.locator("#results:focus").waitFor();
    assert.deepEqual(await listed(), names, name);
  }
});
await report.step("tokens are revoked by filter, after a dry run that is shown before", async () => {
  const made = [await issue("Leaked 1", { account: "acct_many" }), await issue("Leaked 2", { account: "acct_many" })];
  await go("tokens?account=acct_many");
  await page.getByRole("link", { name: "Revoke these tokens: dry run…" }).click();
  await page.getByText("2 tokens would be revoked.").waitFor();
  await page.getByText("Which they are").click();
  await page.getByRole("link", { name: made[0]?.token.id ?? "" }).waitFor();
  assert.deepEqual(await seriousFaults(page), []);
  await shoot(page, "light", "revoke-by-filter");
  const later = await issue("Made since", { account: "acct_many" });
  await page.getByRole("button", { name: "Revoke 2 tokens…" }).click();
  const dialog = page.getByRole("dialog", { name: "Revoke 2 tokens?" });
  await dialog.getByLabel("Reason").fill("a repository was public");
  await dialog.getByRole("button", { name: "Revoke 2 tokens" }).click();
  await dialog.getByText("The dry run counted 2.").waitFor();
  await dialog.getByLabel("To confirm, type how many were counted").fill("2");
  await dialog.getByRole("button", { name: "Revoke 2 tokens" }).click();
  await page.getByText("2 revoked.").waitFor();
  assert.deepEqual(await Promise.all(made.map(({ key }) => refusalOf(key))), ["TOKEN_REVOKED", "TOKEN_REVOKED"]);
  assert.equal(await refusalOf(later.key), null);
  // What is new since the first dry run is counted by the next one.
  await page.getByText("1 token would be revoked.").waitFor();
});
await report.step("the journal tells of accounts and rotations too", async () => {
  for (const [action, first] of [
    ["hold", /held.*the account“chargebacks”.*acct_fraud/],
    ["close", /closed.*the account.*acct_gone/],
    ["rotate key", /rotated.*Turning/],
  ] as const) {
    await go("journal");
    await page.locator("#filter-action").selectOption(action);
    await page.getByRole("button", { name: "Filter" }).click();
    await page.waitForURL("**/#/journal?action=*");
    await settled();
    assert.match((await page.locator("table.changes tbody tr").first().textContent()) ?? "", first);
  }
});
await report.step(`${crowded} tokens in an account: a page at a time, there and back`, async () => {
  let next = 0;
  const create = async () => {
    while (next < crowded) {
      next += 1;
      await issue(`Terminal ${next}`, { account: "acct_fleet" });
    }
  };
  await Promise.all(Array.from({ length: 64 }, create));
  await go("tokens?account=acct_fleet");
  const newest = await listed();
  assert.equal(newest.length, 50);
  await page.getByRole("link", { name: "Older" }).click();
  await page.waitForURL("**page=*");
  const older = await listed();
  assert.equal(older.length, 50);
  assert.ok(older.every((name) => !newest.includes(name)));
  await page.getByRole("link", { name: "Newer" }).click();
  await page.getByRole("link", { name: newest[0] ?? "", exact: true }).waitFor();
  assert.deepEqual(await listed(), newest);
  await go("accounts?prefix=acct_fleet");
  await page.getByRole("link", { name: "10,000+ active tokens of acct_fleet" }).waitFor();
  const sizes = watch.answers.filter(({ url }) => url.endsWith("/List")).map(({ body }) => body.length);
  assert.ok(Math.max(...sizes) < 100_000);
});
await report.step("refusals by reason and latency of the last hour, as plots and as numbers", async () => {
  for (let count = 0; count < 40; count += 1) {
    await rpc("Authenticate", { key: till.key, requiredPermissions: count % 4 === 0 ? ["balance:read"] : [] });
    await rpc("Authenticate", { key: count % 2 === 0 ? old.key : "nonsense" });
  }
  await go("");
  // The next sample has them.
  const row = page.locator("tr", { hasText: "Insufficient permissions" }).locator("td.number");
  await row.filter({ hasText: /^10$/ }).waitFor({ timeout: 40_000 });
  // A sample that was taken meanwhile had the ones, and not all of these.
  const malformed = page.locator("tr", { hasText: "Key malformed" }).locator("td.number");
  await malformed.filter({ hasText: /^20$/ }).waitFor({ timeout: 40_000 });
  assert.match(
    (await page.getByRole("region", { name: "Authenticate latency" }).textContent()) ?? "",
    /Median[\d.]+ ms/,
  );
  await page.getByText("As numbers").click();
  assert.ok((await page.locator("details tbody tr").count()) > 0);
});
await report.step("a reason of the last hour leads to its keys and gateways", async () => {
  await go("");
  await page.getByRole("link", { name: "Token revoked" }).click();
  await page.getByRole("heading", { level: 1, name: "Token revoked" }).waitFor();
  await settled();
  const refused = page.getByRole("region", { name: "Keys and gateways" }).locator("tbody tr");
  const cells = await refused.filter({ hasText: old.token.id }).locator("th, td").allTextContents();
  assert.deepEqual(cells.slice(0, 3), [old.token.id, "local", "20"]);
  await page.getByText(`jq 'select(.msg == "key refused" and .refusal == "TOKEN_REVOKED")'`).waitFor();
  // One line for many refusals of a kind within seconds, which may lie before 10 000 creations.
  assert.ok(refusalLines.some((line) => line.includes('"refusal":"TOKEN_REVOKED"')));
  await page.getByRole("link", { name: "Revoked tokens" }).click();
  await page.waitForURL("**/#/tokens?state=revoked");
});
await report.step("which server this is, how it is, and from where on it creates no tokens", async () => {
  await go("");
  const text = (await page.getByRole("region", { name: "This server" }).textContent()) ?? "";
  for (const part of [hostname(), server.address, "serving", packageJson.version, " free", "no tokens are created"]) {
    assert.ok(text.includes(part), `${part} is not in ${text}`);
  }
});
await report.step("a gateway that decides from memory is shown, with what it knows", async () => {
  const gateway = connect(server.address, { security: "plaintext", cache: { maxMiB: 1 } });
  try {
    await gateway.authenticate(till.key);
    await go("");
    const caches = page.getByRole("region", { name: "This server" }).locator("dl > div", { hasText: "Caches" });
    for (const until = Date.now() + 30_000; ; ) {
      await page.reload();
      await settled();
      if (/1 gateway watches\..*holds a lease.*knows everything up to \d+/.test((await caches.textContent()) ?? "")) {
        break;
      }
      assert.ok(Date.now() < until, "the gateway is not shown");
    }
    await shoot(page, "light", "caches");
  } finally {
    gateway.close();
  }
});
await report.step("axe finds nothing serious, light and dark, on every page and when revoking", async () => {
  const faults: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    for (const where of [
      "",
      "tokens?account=acct_harbor",
      `tokens/${till.token.id}`,
      "create",
      "accounts",
      "journal?account=acct_harbor",
      "refusals/TOKEN_REVOKED",
    ]) {
      await go(where);
      faults.push(...(await seriousFaults(page)).map((fault) => `${colorScheme} ${where}: ${fault}`));
      await shoot(page, colorScheme, where);
    }
    await go(`tokens/${till.token.id}`);
    await page.getByRole("button", { name: "Revoke…" }).click();
    faults.push(...(await seriousFaults(page)).map((fault) => `${colorScheme} revoking: ${fault}`));
    await page.keyboard.press("Escape");
  }
  await page.emulateMedia({ colorScheme: "light" });
  assert.deepEqual(faults, []);
});
await report.step("on a phone, nothing is wider than the screen", async () => {
  await using phone = await openContext(browser, {
    viewport: { width: 390, height: 844 },
    deviceScaleFactor: 2,
    hasTouch: true,
    isMobile: true,
  });
  for (const where of [
    "",
    "tokens?account=acct_harbor",
    `tokens/${till.token.id}`,
    "create",
    "accounts",
    "journal?account=acct_harbor",
    "refusals/TOKEN_REVOKED",
  ]) {
    await go(where, phone.page);
    const widest = await phone.page.evaluate<number>("document.documentElement.scrollWidth");
    assert.ok(widest <= 390, `${where} is ${widest} wide`);
    await shoot(phone.page, "phone", where);
    await phone.page.setViewportSize({ width: 320, height: 640 });
    const wide = await phone.page.evaluate<number>("document.documentElement.scrollWidth");
    assert.ok(wide <= 320, `${where} is ${wide} wide where 320 are`);
    // A field may be wider than its card, which the page's width does not show.
    assert.deepEqual(await phone.page.evaluate(overflowing), [], where);
    await phone.page.setViewportSize({ width: 390, height: 844 });
  }
  assert.deepEqual(await seriousFaults(phone.page), []);
});
await report.step(
  "the authority is killed in the middle, and comes back: nothing that was filled in is lost",
  async () => {
    await go("create");
    await page.getByLabel("Account", { exact: true }).fill("acct_outage");
    await page.getByLabel("Name", { exact: true }).fill("Made once");
    await page.getByLabel("Permissions", { exact: true }).fill("events:read");
    await server.kill();
    await page.getByRole("button", { name: "Create token" }).click();
    await page.getByText("The authority does not answer.", { exact: true }).waitFor();
    await page.getByText("The outcome is not known").waitFor();
    assert.deepEqual(await seriousFaults(page), []);
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Made once");
    server = await start("data", addresses);
    await page.getByText("The authority answers again.").waitFor({ timeout: 20_000 });
    assert.equal(await page.getByLabel("Permissions", { exact: true }).inputValue(), "events:read");
    // Its answer is lost, as in an outage: what is sent again must be the same request.
    await page.route("**/Create", async (route) => {
      await route.fetch();
      await route.abort();
    });
    await page.getByRole("button", { name: "Send the same again" }).click();
    await page.getByText("The outcome is not known").waitFor();
    await page.unroute("**/Create");
    await page.getByRole("button", { name: "Send the same again" }).click();
    await page.getByLabel("The new key").waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Done" }).click();
    await go("tokens?account=acct_outage");
    assert.deepEqual(await listed(), ["Made once"]);
  },
);
await report.step("a list that could not be loaded comes by itself when the authority is back", async () => {
  await go("accounts");
  await server.kill();
  await page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name: "Tokens" }).click();
  await page.getByText("The tokens could not be loaded").waitFor();
  server = await start("data", addresses);
  await page.locator("table.tokens").waitFor({ timeout: 20_000 });
});
await report.step("nothing was asked of anybody else, and no key was in what was asked", async () => {
  const strangers = watch.requests.filter(({ url }) => !url.startsWith(`${origin}/`));
  assert.deepEqual(strangers, []);
  for (const key of [till.key, secret.key, createdKey]) {
    assert.ok(watch.requests.every(({ url, body }) => !url.includes(key) && !body.includes(key)));
  }
  const tellers = watch.answers.filter(({ body }) => body.includes(createdKey)).map(({ url }) => url);
  assert.deepEqual(tellers, [`${origin}/casapay.token.v1.TokenService/Create`]);
  assert.deepEqual(watch.complaints, []);
});
await report.step("a plaintext caller that is a service is told what it may not do", async () => {
  await using other = await start("service", { PLAINTEXT_ROLE: "service" });
  await using seen = await openContext(browser);
  const tellsOf = (text: string) => seen.page.getByText(text).first().waitFor();
  await seen.page.goto(`http://${other.consoleAddress}/#/tokens`);
  await tellsOf("sees the tokens of one account at a time");
  await seen.page.goto(`http://${other.consoleAddress}/#/accounts`);
  await tellsOf("The role service may not call ListAccounts.");
  await seen.page.goto(`http://${other.consoleAddress}/#/create`);
  await tellsOf("Your role, service, may not create these.");
  assert.ok(await seen.page.getByLabel("secret").isDisabled());
  assert.deepEqual(await seriousFaults(seen.page), []);
});
await report.step("over TLS, the client certificate decides: operator, service, stranger and nobody", underTls);
await report.step("the server ends in good order, and has logged no key", async () => {
  await context.close();
  await browser.close();
  assert.equal(await server.stop(), 0);
  assert.ok(servers.every((one) => one.linesWithKeys() === 0));
});
report.close();

async function underTls(): Promise<void> {
  const authority = createAuthority();
  const write = (name: string, { certificatePem, keyPem }: TestCertificate) => {
    const files = { certPath: join(scratch.path, `${name}.pem`), keyPath: join(scratch.path, `${name}.key`) };
    writeFileSync(files.certPath, certificatePem);
    writeFileSync(files.keyPath, keyPem, { mode: 0o600 });
    return files;
  };
  const own = write("server", authority.issue());
  const root = write("root", authority);
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, '{"spiffe://casapay/oncall": "operator", "spiffe://casapay/merchants": "service"}');
  const tls = { TLS_CERT: own.certPath, TLS_KEY: own.keyPath, TLS_CLIENT_CA: root.certPath, CALLERS: callers };
  await using secured = await start("tls", tls);
  const url = `https://localhost:${secured.consoleAddress.split(":")[1]}`;
  const named = (name: string) => ({ names: [{ uri: `spiffe://casapay/${name}` }] });
  const clientAuth = "1.3.6.1.5.5.7.3.2";
  const serverAuth = "1.3.6.1.5.5.7.3.1";
  const expected: readonly (readonly [string, TestCertificate | null, string, string])[] = [
    ["oncall", authority.issue(named("oncall")), "oncalloperator", "No account has tokens yet."],
    [
      "merchants",
      authority.issue(named("merchants")),
      "merchantsservice",
      "The role service may not call ListAccounts.",
    ],
    ["stranger", authority.issue(named("stranger")), "strangerno role", "it is not in the callers file."],
    ["nobody", null, "Nobody: certificate missing", "Import yours into the browser"],
    [
      "late",
      authority.issue({ ...named("oncall"), validToMs: Date.now() - dayMs }),
      "Nobody: certificate expired",
      "has expired. Get a new one",
    ],
    [
      "early",
      authority.issue({ ...named("oncall"), validFromMs: Date.now() + dayMs, validToMs: Date.now() + 2 * dayMs }),
      "Nobody: certificate not yet valid",
      "is not valid yet. Compare the server's clock",
    ],
    ["foreign", createAuthority().issue(named("oncall")), "Nobody: certificate untrusted", "If you have another"],
    [
      "unsuitable",
      authority.issue({ ...named("oncall"), usages: [serverAuth] }),
      "Nobody: certificate unsuitable",
      "Get one for clients",
    ],
    [
      "unnamed",
      authority.issue({ names: [], usages: [clientAuth] }),
      "Nobody: certificate without identity",
      "it needs a SPIFFE ID",
    ],
  ];
  for (const [name, certificate, who, what] of expected) {
    const clientCertificates = certificate === null ? [] : [{ origin: url, ...write(name, certificate) }];
    await using seen = await openContext(browser, { ignoreHTTPSErrors: true, clientCertificates });
    await seen.page.goto(`${url}/#/accounts`);
    await seen.page.locator("#caller", { hasText: who }).waitFor();
    await seen.page.getByText(what).first().waitFor();
    if (who.startsWith("Nobody")) {
      await seen.page.goto(`${url}/#/`);
      await seen.page.getByText("This authority does not know who you are").waitFor();
      await seen.page.getByText(what).first().waitFor();
      assert.deepEqual(await seriousFaults(seen.page), []);
    }
    if (name === "oncall") {
      await seen.page.goto(`${url}/#/`);
      const ends = seen.page.getByRole("region", { name: "This server" }).locator("li");
      await ends.first().waitFor();
      assert.deepEqual(
        (await ends.allTextContents()).map((text) => /ends in \d+ hours/.test(text)),
        [true, true],
      );
      assert.ok((await ends.allTextContents()).some((text) => text.includes("spiffe://casapay/oncall")));
      assert.deepEqual(await seriousFaults(seen.page), []);
    }
  }
}

/** Presses Tab until this has the focus. */
async function tabTo(role: "link" | "button", name: string): Promise<void> {
  const target = page.getByRole(role, { name, exact: true });
  for (let presses = 0; presses < 80; presses += 1) {
    if (await target.evaluate((element) => element.matches(":focus"))) {
      return;
    }
    await page.keyboard.press("Tab");
  }
  assert.fail(`Tab does not come to ${name}`);
}

async function shoot(on: Page, look: string, where: string): Promise<void> {
  const name = where === "" ? "overview" : where.startsWith("tokens/") ? "token" : where.replace(/[?/].*/, "");
  const wanted = ["light-overview", "light-token", "light-refusals", "dark-tokens", "dark-journal"].concat(
    "phone-overview",
    "phone-tokens",
    "phone-journal",
    "light-rotate",
    "light-rotation",
    "light-held-account",
    "light-revoke-by-filter",
    "light-caches",
  );
  if (takesScreenshots && wanted.includes(`${look}-${name}`)) {
    mkdirSync(images, { recursive: true });
    await on.screenshot({
      path: join(images, `console-${look}-${name}.png`),
      fullPage: look === "phone" || name === "overview",
    });
  }
}
