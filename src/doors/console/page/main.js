import { accountsView } from "./accounts-view.js";
import { forgetKeyInAddress, parseAddress } from "./address.js";
import { createView } from "./create-view.js";
import { byId, h } from "./dom.js";
import { journalView } from "./journal-view.js";
import { keepKeysOut } from "./keep-keys-out.js";
import { heading, recovery } from "./load.js";
import { watchReachability } from "./outage.js";
import { overview } from "./overview.js";
import { refusalsView } from "./refusals-view.js";
import { revokeManyView } from "./revoke-many-view.js";
import { get } from "./rpc.js";
import { tokenView } from "./token-view.js";
import { tokensView } from "./tokens-view.js";

/** @typedef {import("./load.js").View} View */

/** @type {Readonly<Record<string, { readonly title: string, readonly show: (view: View) => readonly Node[] }>>} */
const pages = {
  "": { title: "Overview", show: overview },
  tokens: { title: "Tokens", show: (view) => (view.address.id === "" ? tokensView(view) : tokenView(view)) },
  create: { title: "Create token", show: createView },
  accounts: { title: "Accounts", show: accountsView },
  journal: { title: "Journal", show: journalView },
  "revoke-by-filter": { title: "Revoke by filter", show: revokeManyView },
  refusals: { title: "Refusals", show: refusalsView },
};
const lost = { title: "Not found", show: () => [heading("There is no such page")] };

/** @type {import("./rpc.js").Caller} */
let caller = { identity: null, role: null, fault: null };
/** @type {{ readonly page: string, readonly leave: AbortController } | null} */
let open = null;

function show() {
  forgetKeyInAddress();
  const address = parseAddress(location.hash);
  const { title, show: showPage } = pages[address.page] ?? lost;
  const before = open;
  before?.leave.abort();
  const place = `${address.page}/${address.id}`;
  open = { page: place, leave: new AbortController() };
  document.title = `${title} · Token authority`;
  for (const link of document.querySelectorAll("[data-page]")) {
    const isHere = link.getAttribute("data-page") === address.page;
    link.toggleAttribute("aria-current", false);
    if (isHere) {
      link.setAttribute("aria-current", "page");
    }
  }
  const main = byId("main");
  main.replaceChildren(...showPage({ address, caller, signal: open.leave.signal }));
  // Where the reader goes on: at what changed when a list was filtered or paged, at the top of a page that was opened.
  if (before !== null) {
    const changed = before.page === place ? main.querySelector("[data-focus]") : null;
    const target = changed ?? main.querySelector("h1");
    if (target instanceof HTMLElement) {
      target.focus({ preventScroll: changed !== null });
      scrollTo(0, changed === null ? 0 : scrollY);
    }
  }
}

async function learnCaller() {
  caller = await get("/caller");
  byId("caller").replaceChildren(
    caller.identity === null
      ? `Nobody: ${(caller.fault ?? "no certificate").toLowerCase().replaceAll("_", " ")}`
      : h("span", { class: "mono breaks" }, caller.identity),
    h("span", { class: "badge" }, caller.role ?? "no role"),
  );
}

watchReachability();
keepKeysOut();
try {
  await learnCaller();
} catch {
  // The banner says so. Who this is decides what is offered, so that the page is shown anew once it is known.
  recovery.addEventListener("recovered", () => void learnCaller().then(show), { once: true });
}
addEventListener("hashchange", show);
show();
