import { hrefOf } from "./address.js";
import { startOf } from "./days.js";
import { announce, h } from "./dom.js";
import { choiceFilter, countText, firstFilledPage, noneSoFar, searchForm, textFilter } from "./filters.js";
import { heading, loaded, pager } from "./load.js";
import { lookupForm } from "./lookup.js";
import { call } from "./rpc.js";
import { maskedKey, modeBadge, stateBadge, timeOf, wordOf } from "./words.js";

const pageSize = 50;

/** What the address has of a search, and how a list that was searched for is called. */
const filters = /** @type {const} */ ([
  ["account", "account"],
  ["name", "name"],
  ["permission", "permission"],
  ["hint", "hint"],
  ["state", "state"],
  ["type", "type"],
  ["mode", "mode"],
  ["by", "created by"],
  ["from", "created from"],
  ["to", "created to"],
  ["expiring", "expiry before"],
  ["unused", "no use since"],
]);

/**
 * Tokens by what is known of them.
 *
 * @param {import("./load.js").View} view
 */
export function tokensView(view) {
  const { query } = view.address;
  const mustNameAccount = view.caller.role !== null && view.caller.role !== "operator";
  const asksForNothing = mustNameAccount && !query.account;
  return [
    heading("Tokens"),
    lookupForm(view.caller),
    filterForm(query, mustNameAccount),
    h(
      "section",
      { class: "card", "aria-labelledby": "results" },
      h("h2", { id: "results", tabindex: "-1", "data-focus": true }, titleOf(query)),
      asksForNothing
        ? h(
            "p",
            { class: "notice" },
            `Your role, ${view.caller.role}, sees the tokens of one account at a time: name it above.`,
          )
        : loaded(view, "The tokens", (signal) => loadPage(query, signal)).place,
    ),
  ];
}

/** @param {Readonly<Record<string, string>>} query */
function titleOf(query) {
  const said = filters.filter(([name]) => query[name]).map(([name, words]) => `${words} ${query[name]}`);
  return said.length === 0 ? "All tokens, newest first" : `Tokens with ${said.join(", ")}`;
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {boolean} mustNameAccount
 */
function filterForm(query, mustNameAccount) {
  return searchForm(
    "tokens",
    "Filter tokens",
    textFilter(query, "account", "Account", { maxlength: 64, required: mustNameAccount }),
    textFilter(query, "name", "Name contains", { maxlength: 100 }),
    textFilter(query, "permission", "May do", {
      placeholder: "events:read",
      pattern: "[a-z][a-z0-9_]{0,62}:(read|write)",
      title: "resource:read or resource:write",
    }),
    textFilter(query, "hint", "Key ends with", {
      maxlength: 4,
      pattern: "[0-9A-Za-z]{4}",
      title: "the last 4 characters of the key",
      class: "mono",
    }),
    choiceFilter(query, "state", "State", ["active", "expired", "revoked"]),
    choiceFilter(query, "type", "Type", ["secret", "publishable", "restricted"]),
    choiceFilter(query, "mode", "Mode", ["live", "test"]),
    textFilter(query, "by", "Created by", {
      maxlength: 2048,
      title: "the identity of a service, or the id of a token whose key did it over REST",
    }),
    textFilter(query, "from", "Created from (UTC)", { type: "date" }),
    textFilter(query, "to", "Created to (UTC)", { type: "date" }),
    textFilter(query, "expiring", "Expires before (UTC)", { type: "date" }),
    textFilter(query, "unused", "Unused since (UTC)", { type: "date" }),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {AbortSignal} signal
 */
async function loadPage(query, signal) {
  const times = {
    createdFrom: startOf(query.from),
    // The day that is named is one of those that are asked for.
    createdBefore: startOf(query.to, 1),
    expiresBefore: startOf(query.expiring),
    unusedSince: startOf(query.unused),
  };
  const request = {
    pageSize,
    account: query.account ?? "",
    nameContains: query.name ?? "",
    permission: query.permission ?? "",
    keyHint: query.hint ?? "",
    createdBy: query.by ?? "",
    ...(query.state ? { states: [`TOKEN_STATE_${query.state.toUpperCase()}`] } : {}),
    ...(query.type ? { types: [`TOKEN_TYPE_${query.type.toUpperCase()}`] } : {}),
    ...(query.mode ? { livemode: query.mode === "live" } : {}),
    ...Object.fromEntries(Object.entries(times).filter(([, time]) => time !== null)),
  };
  const {
    items: tokens,
    nextPageToken,
    previousPageToken,
  } = await firstFilledPage(query.page ?? "", async (pageToken) => {
    const page = await call("List", { ...request, pageToken }, signal);
    const { tokens = [], nextPageToken = "", previousPageToken = "" } = page;
    return { items: tokens, nextPageToken, previousPageToken };
  });
  /** @param {string} token */
  const hrefOfPage = (token) => (token === "" ? null : hrefOf("tokens", { ...query, page: token }));
  const pages = pager({ previous: hrefOfPage(previousPageToken), next: hrefOfPage(nextPageToken) });
  announce(countText(tokens.length, "token", nextPageToken !== ""));
  return [
    tokens.length === 0
      ? h("p", { class: "empty" }, nextPageToken === "" ? "No token is like that." : noneSoFar)
      : tokenTable(tokens),
    ...(pages === null ? [] : [pages]),
  ];
}

/** @param {readonly import("./rpc.js").Token[]} tokens */
function tokenTable(tokens) {
  const head = ["Name", "Account", "Key", "Type", "State", "Created", "Last used"];
  return h(
    "table",
    { class: "tokens" },
    h("caption", { class: "unseen" }, "Tokens, newest first"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        head.map((text) => h("th", { scope: "col", class: classOf(text) }, text)),
      ),
    ),
    h(
      "tbody",
      null,
      tokens.map((token) =>
        h(
          "tr",
          null,
          h(
            "th",
            { scope: "row" },
            h("a", { href: `#/tokens/${token.id}` }, token.name),
            h(
              "span",
              { class: "narrow-only" },
              h("span", { class: "mono" }, token.account),
              h("span", { class: "mono" }, maskedKey(token)),
            ),
          ),
          h(
            "td",
            { class: classOf("Account") },
            h("a", { href: hrefOf("tokens", { account: token.account }), class: "quiet mono" }, token.account),
          ),
          h("td", { class: classOf("Key") }, h("span", { class: "mono" }, maskedKey(token))),
          h("td", { class: classOf("Type") }, wordOf(token.type), " ", modeBadge(token)),
          h("td", null, stateBadge(token.state)),
          h("td", { class: classOf("Created") }, timeOf(token.createTime)),
          h(
            "td",
            { class: classOf("Last used") },
            token.lastUseTime === undefined ? h("span", { class: "muted" }, "never") : timeOf(token.lastUseTime),
          ),
        ),
      ),
    ),
  );
}

/** @param {string} column */
function classOf(column) {
  return column === "Name" || column === "State"
    ? null
    : column === "Created" || column === "Last used"
      ? "wide time"
      : "wide";
}
