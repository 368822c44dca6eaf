import axe from "axe-core";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";

/** Debian's Chromium, which asks nobody for anything but what the page asks for. */
export function launchChromium(): Promise<Browser> {
  const args = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"];
  args.push("disable-component-update", "disable-sync");
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: args.map((name) => `--${name}`) });
}

/** What a browser that looks at the page did: nothing of it may be lost on the way to the suite's last step. */
export type Watch = {
  /** What was asked: the fragment of an address stays in the browser. */
  readonly requests: { readonly url: string; readonly body: string }[];
  /** Answers by URL. */
  readonly answers: { readonly url: string; readonly body: string }[];
  /** Errors in the console, CSP violations among them, and uncaught exceptions. */
  readonly complaints: string[];
};

export type Seen = AsyncDisposable & { readonly page: Page; readonly context: BrowserContext; readonly watch: Watch };

/** A browser that has never been here, with a page of its own. */
export async function openContext(browser: Browser, options: BrowserContextOptions = {}): Promise<Seen> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const watch: Watch = { requests: [], answers: [], complaints: [] };
  await context.addInitScript(markLeaving);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  context.on("request", (request) =>
    watch.requests.push({ url: request.url().replace(/#.*/, ""), body: request.postData() ?? "" }),
  );
  context.on("response", (response) => {
    void response.text().then(
      (body) => watch.answers.push({ url: response.url(), body }),
      () => {},
    );
  });
  page.on("console", (message) => {
    // An answer that is no 200 is told here as well: those are the authority's, and the steps look at them.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      watch.complaints.push(message.text());
    }
  });
  page.on("pageerror", (error) => watch.complaints.push(error.message));
  return { page, context, watch, [Symbol.asyncDispose]: () => context.close() };
}

/** Waits until the page shows what its address says. */
export async function isShown(page: Page): Promise<void> {
  await page.locator("html[data-leaving]").waitFor({ state: "detached" });
}

/**
 * Runs in the page, before its own scripts. An address changes a task before the page hears of it: for so long the view
 * before stands under the new address, and a suite that is quick would take it for the new one.
 */
function markLeaving(): void {
  type Change = { readonly navigationType: string | null };
  type Target = { addEventListener(type: string, listener: (event: Change) => void): void };
  const window = globalThis as unknown as Target & {
    readonly navigation: Target;
    readonly document: { readonly documentElement: { toggleAttribute(name: string, force: boolean): void } };
  };
  window.navigation.addEventListener("currententrychange", ({ navigationType }) => {
    // Not by history.replaceState, which no event follows.
    window.document.documentElement.toggleAttribute("data-leaving", navigationType !== "replace");
  });
  window.addEventListener("hashchange", () => {
    window.document.documentElement.toggleAttribute("data-leaving", false);
  });
}

/**
 * What axe finds that is serious or critical, a line each. The page's policy lets no script of others run, axe's
 * neither: it is evaluated.
 */
export async function seriousFaults(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source);
  return await page.evaluate(async () => {
    type Found = { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] };
    const page = globalThis as unknown as { axe: { run(): Promise<{ violations: Found[] }> } };
    const { violations } = await page.axe.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`),
      );
  });
}
