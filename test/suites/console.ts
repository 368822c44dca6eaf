// The operator's page in Chromium, over real processes: every task, with keyboard, screen reader rules, a phone, wrong roles and an outage.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { launchChromium, openContext, seriousFaults } from "./console/browser.ts";
import { createCertificateAuthority } from "./support/certificates.ts";
import { createReport } from "./support/report.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { installDebianProgram } from "./support/tools.ts";

const takesScreenshots = process.argv.includes("--screenshots");
const images = resolve(import.meta.dirname, "../../docs/images");
const crowded = 10_000;

type Made = { readonly token: { readonly id: string; readonly keyHint: string }; readonly key: string };

const report = createReport("console");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-console-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
await installDebianProgram("chromium", "chromium");

/** One that can be killed and started again where it was. */
async function start(name: string, settings: Readonly<Record<string, string>> = {}): Promise<ServerProcess> {
  return await startServerProcess({
    dataDirectory: join(scratch.path, name),
    sealingSecret,
    settings: { CONSOLE_LISTEN: "127.0.0.1:0", MAX_TOKENS_PER_ACCOUNT: "20000", ...settings },
  });
}

let server = await start("data");
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
  await on.locator("h1").waitFor();
  await on.locator("[aria-busy]").first().waitFor({ state: "detached" });
}

/** The names in the list. */
async function listed(): Promise<readonly string[]> {
  await settled();
  return await page.locator("table.tokens tbody th a").allTextContents();
}

/** As a person does: it goes through the clipboard. */
async function paste(text: string): Promise<void> {
  await page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
  await page.getByLabel("Token id or leaked key").focus();
  await page.keyboard.press("Control+V");
}

const till = await issue("Till", { permissions: ["payment_intents:read", "events:write"] });
const secret = await issue("Ledger sync", { type: "TOKEN_TYPE_SECRET", permissions: [], account: "acct_kesh" });
await issue("Checkout web", { type: "TOKEN_TYPE_PUBLISHABLE", permissions: [], livemode: false });
const old = await issue("Old export");
await rpc("Revoke", { id: old.token.id, reason: "not needed any more" });

await report.step("find a token by its id", async () => {
  await go("");
  await page.getByLabel("Token id or leaked key").fill(` ${till.token.id} `);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Till" }).waitFor();
});
await report.step("find tokens by account, name, permission, hint, state, type and mode", async () => {
  const filters = [
    ["account", "acct_kesh", ["Ledger sync"]],
    ["name", "tILL", ["Till"]],
    ["permission", "payment_intents:read", ["Ledger sync", "Till"]],
    ["hint", till.token.keyHint, ["Till"]],
    ["state", "revoked", ["Old export"]],
    ["type", "publishable", ["Checkout web"]],
    ["mode", "test", ["Checkout web"]],
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
  await page.getByLabel("Token id or leaked key").fill(secret.key);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Ledger sync" }).waitFor();
  await page.goBack();
  assert.equal(await page.getByLabel("Token id or leaked key").inputValue(), "");
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
  await page.getByText("not needed any more").waitFor();
  await go(`tokens/${till.token.id}`);
  const may = page.getByRole("region", { name: "What it may do" });
  assert.deepEqual(await may.locator("li").allTextContents(), ["payment_intents:read", "events:write"]);
  // Written behind.
  for (const until = Date.now() + 15_000; ; ) {
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
await report.step("a field that is refused is told beside it", async () => {
  await go("create");
  await page.getByLabel("Account", { exact: true }).fill("acct_new");
  await page.getByLabel("Name", { exact: true }).fill("Wrong");
  await page.getByLabel("Permissions", { exact: true }).fill("everything");
  await page.getByRole("button", { name: "Create token" }).click();
  await page.locator("#create-permissions[aria-invalid=true]").waitFor();
  assert.match((await page.locator("#create-permissions-error").textContent()) ?? "", /permissions/);
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
  await page.getByText("found in a public repository").waitFor();
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
  assert.equal(await page.locator("tr", { hasText: "Key malformed" }).locator("td.number").textContent(), "20");
  assert.match(
    (await page.getByRole("region", { name: "Authenticate latency" }).textContent()) ?? "",
    /Median[\d.]+ ms/,
  );
  await page.getByText("As numbers").click();
  assert.ok((await page.locator("details tbody tr").count()) > 0);
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
      "journal",
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
    viewport: { width: 360, height: 740 },
    hasTouch: true,
    isMobile: true,
  });
  for (const where of ["", "tokens?account=acct_harbor", `tokens/${till.token.id}`, "create", "accounts", "journal"]) {
    await go(where, phone.page);
    const widest = await phone.page.evaluate<number>("document.documentElement.scrollWidth");
    assert.ok(widest <= 360, `${where} is ${widest} wide`);
    await shoot(phone.page, "phone", where);
  }
  assert.deepEqual(await seriousFaults(phone.page), []);
});
await report.step(
  "the authority is killed in the middle, and comes back: nothing that was filled in is lost",
  async () => {
    const port = { LISTEN: server.address, CONSOLE_LISTEN: consoleAddress };
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
    server = await start("data", port);
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
  const port = { LISTEN: server.address, CONSOLE_LISTEN: consoleAddress };
  await go("accounts");
  await server.kill();
  await page.getByRole("navigation", { name: "Pages", exact: true }).getByRole("link", { name: "Tokens" }).click();
  await page.getByText("The tokens could not be loaded").waitFor();
  server = await start("data", port);
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
  assert.doesNotMatch(server.output(), /[srp]k_(live|test)_[0-9A-Za-z]{38}/);
});
report.close();

async function underTls(): Promise<void> {
  const authority = createCertificateAuthority(scratch.path);
  const own = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, '{"spiffe://casapay/oncall": "operator", "spiffe://casapay/merchants": "service"}');
  const tls = { TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: authority.cert, CALLERS: callers };
  await using secured = await start("tls", tls);
  const url = `https://localhost:${secured.consoleAddress.split(":")[1]}`;
  const expected = {
    oncall: ["oncalloperator", "No account has tokens yet."],
    merchants: ["merchantsservice", "The role service may not call ListAccounts."],
    stranger: ["strangerno role", "it is not in the callers file."],
    nobody: ["Nobody: no certificateno role", "Your browser showed no client certificate"],
  };
  for (const [name, [who = "", what = ""]] of Object.entries(expected)) {
    const files = name === "nobody" ? null : authority.issue(name, `URI:spiffe://casapay/${name}`);
    const certificates = files === null ? [] : [{ origin: url, certPath: files.cert, keyPath: files.key }];
    await using seen = await openContext(browser, { ignoreHTTPSErrors: true, clientCertificates: certificates });
    await seen.page.goto(`${url}/#/accounts`);
    await seen.page.locator("#caller", { hasText: who }).waitFor();
    await seen.page.getByText(what).first().waitFor();
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
  const name = where === "" ? "overview" : where.includes("/") ? "token" : where.replace(/\?.*/, "");
  const wanted = ["light-overview", "light-token", "dark-tokens", "phone-overview", "phone-tokens"];
  if (takesScreenshots && wanted.includes(`${look}-${name}`)) {
    mkdirSync(images, { recursive: true });
    await on.screenshot({ path: join(images, `console-${look}-${name}.png`), fullPage: look === "phone" });
  }
}
