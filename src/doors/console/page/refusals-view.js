import { hrefOf } from "./address.js";
import { copyButton, h } from "./dom.js";
import { heading, loaded } from "./load.js";
import { get } from "./rpc.js";
import { callerName, timeOf, upperFirst } from "./words.js";

/** Stands beside the reasons of refusals for what was asked and not decided. */
export const undecided = "NOT_DECIDED";

/**
 * What each reason means, what to do, and which tokens it can be about.
 *
 * @type {Readonly<Record<string, { readonly means: string, readonly todo: string, readonly tokens: readonly (readonly [string, Readonly<Record<string, string>>])[] }>>}
 */
const meanings = {
  KEY_MALFORMED: {
    means: "What was sent is no key of ours: another length, other characters, or a wrong checksum. No token is known.",
    todo: "A client sends something else, or a damaged key: look at which gateway it comes through. Many at once: somebody guesses.",
    tokens: [],
  },
  KEY_UNKNOWN: {
    means: "The key has our form, and no token here has it.",
    todo: "A key of another installation or data set, or somebody guesses: look at which gateway it comes through.",
    tokens: [],
  },
  TOKEN_REVOKED: {
    means: "The token was revoked, and its key is still in use.",
    todo: "Tell the account to change to its new key; or somebody tries a key that has leaked.",
    tokens: [["Revoked tokens", { state: "revoked" }]],
  },
  KEY_RETIRED: {
    means: "The token has a newer key, and the time of the old one is over. The old key is still in use.",
    todo: "Tell the account to change to its new key; or somebody tries a key that has leaked.",
    tokens: [["Rotations under way", { rotating: "yes" }]],
  },
  TOKEN_EXPIRED: {
    means: "The token has expired, and its key is still in use.",
    todo: "Create a new token for the account, with an expiry that its owner knows of.",
    tokens: [["Expired tokens", { state: "expired" }]],
  },
  TOKEN_HELD: {
    means: "The token is held. Its keys are good, and pass again once it is released.",
    todo: "Look why it is held, in the token's life: release it, or revoke it.",
    tokens: [["Held tokens", { held: "yes" }]],
  },
  ACCOUNT_CLOSED: {
    means: "The account is closed for good, and one of its keys is still in use.",
    todo: "Nothing: it stays so.",
    tokens: [],
  },
  ACCOUNT_HELD: {
    means: "The account is held. Its keys are good, and pass again once it is released.",
    todo: "Look why it is held, in the journal: release it, or close it.",
    tokens: [["Tokens of held accounts", { held: "yes" }]],
  },
  LIVEMODE_MISMATCH: {
    means: "A test key was used where live data is served, or a live key where test data is.",
    todo: "The client has the wrong key, or the gateway's route names the wrong mode.",
    tokens: [
      ["Live tokens", { mode: "live" }],
      ["Test tokens", { mode: "test" }],
    ],
  },
  TYPE_NOT_ALLOWED: {
    means: "The gateway's route does not let keys of this type pass: publishable ones only where it says so.",
    todo: "A publishable key stands where a secret one belongs, or the route names the wrong types.",
    tokens: [["Publishable tokens", { type: "publishable" }]],
  },
  INSUFFICIENT_PERMISSIONS: {
    means: "The key does not have a permission that the gateway's route asks for.",
    todo: "Create a token with the permission, or mend the route.",
    tokens: [["Restricted tokens", { type: "restricted" }]],
  },
  [undecided]: {
    means: "The authority answered an error: nothing was decided, and no key is bad because of it.",
    todo: "The log's lines say the code and why: a gateway whose route makes no sense, a caller that may not ask, a disk that fails.",
    tokens: [],
  },
};

/** @param {string} reason */
export function reasonName(reason) {
  return upperFirst(reason.toLowerCase().replaceAll("_", " "));
}

/**
 * One reason: whose keys it was, through which gateways, and where else to look.
 *
 * @param {import("./load.js").View} view
 */
export function refusalsView(view) {
  const reason = view.address.id;
  const meaning = meanings[reason];
  if (meaning === undefined) {
    return [heading("There is no such reason")];
  }
  return [
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Overview"), " / ", h("span", { class: "mono" }, reason)),
    heading(reasonName(reason)),
    h(
      "section",
      { class: "card", "aria-labelledby": "meaning" },
      h("h2", { id: "meaning" }, "What it means"),
      h("p", null, meaning.means),
      h("p", null, meaning.todo),
      meaning.tokens.length > 0 &&
        h(
          "div",
          { class: "actions" },
          meaning.tokens.map(([text, query]) => h("a", { class: "button", href: hrefOf("tokens", query) }, text)),
        ),
    ),
    ...(reason === undecided ? [] : [refusedCard(view, reason)]),
    elsewhereCard(reason),
  ];
}

/**
 * @param {import("./load.js").View} view
 * @param {string} reason
 */
function refusedCard(view, reason) {
  return h(
    "section",
    { class: "card", "aria-labelledby": "refused" },
    h("h2", { id: "refused" }, "Keys and gateways, of late"),
    view.caller.role === "operator"
      ? loaded(view, "The keys", async (signal) => {
          const { state } = /** @type {import("./figures-cards.js").Figures} */ (await get("/figures", signal));
          const rows = (state?.refused ?? []).filter((row) => row.reason === reason);
          return rows.length === 0
            ? [h("p", { class: "empty" }, "None since the authority's start.")]
            : [
                refusedTable(rows),
                h(
                  "p",
                  { class: "hint" },
                  "Counted since the authority's start, the latest 50: what was refused longest ago is forgotten first. The log goes back further, and leaves out some where there are many.",
                ),
              ];
        }).place
      : h("p", { class: "notice" }, "Keys and gateways are for operators."),
  );
}

/** @param {readonly import("./state-card.js").RefusedRow[]} rows */
function refusedTable(rows) {
  return h(
    "table",
    null,
    h("caption", { class: "unseen" }, "Refused keys, the latest first"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Token"),
        h("th", { scope: "col" }, "Gateway"),
        h("th", { scope: "col", class: "number" }, "Times"),
        h("th", { scope: "col" }, "Last"),
      ),
    ),
    h(
      "tbody",
      null,
      rows.map(({ tokenId, caller, count, lastMs }) =>
        h(
          "tr",
          null,
          h(
            "th",
            { scope: "row", class: "breaks" },
            tokenId === null
              ? h("span", { class: "muted" }, "not known")
              : h("a", { class: "mono", href: `#/tokens/${tokenId}` }, tokenId),
          ),
          h("td", { class: "breaks" }, caller === null ? "REST API" : callerName(caller)),
          h("td", { class: "number" }, count.toLocaleString("en")),
          h("td", { class: "time" }, timeOf(new Date(lastMs).toISOString())),
        ),
      ),
    ),
  );
}

/** @param {string} reason */
function elsewhereCard(reason) {
  const isUndecided = reason === undecided;
  const inLog = isUndecided
    ? `jq 'select(.msg == "call failed")'`
    : `jq 'select(.msg == "key refused" and .refusal == "${reason}")'`;
  const inMetrics = isUndecided
    ? `sum by (rpc_method, rpc_response_status_code) (increase(rpc_server_call_duration_seconds_count{rpc_response_status_code!="OK"}[1h]))`
    : `sum by (instance) (increase(token_authority_refusals_total{reason="${reason}"}[1h]))`;
  return h(
    "section",
    { class: "card", "aria-labelledby": "elsewhere" },
    h("h2", { id: "elsewhere" }, "Look further"),
    h(
      "p",
      null,
      isUndecided
        ? "In the log, with code, reason and caller:"
        : "In the log, with caller, token and the request's id where there is one:",
    ),
    h(
      "p",
      { class: "head-line" },
      h("code", { class: "breaks" }, inLog),
      copyButton(() => inLog, "the log's filter"),
    ),
    h("p", null, "In Prometheus, for longer than the last hour:"),
    h(
      "p",
      { class: "head-line" },
      h("code", { class: "breaks" }, inMetrics),
      copyButton(() => inMetrics, "the query"),
    ),
  );
}
