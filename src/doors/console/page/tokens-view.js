import { accountCard } from "./account-card.js";
import { hrefOf } from "./address.js";
import { announce, h } from "./dom.js";
import { choiceFilter, countText, firstFilledPage, noneSoFar, searchForm, textFilter } from "./filters.js";
import { heading, loaded, pager } from "./load.js";
import { lookupForm } from "./lookup.js";
import { call } from "./rpc.js";
import { savedSearches, titleOf, tokenFilterOf } from "./token-filters.js";
import { holdBadges, maskedKey, modeBadge, stateBadge, timeOf, wordOf } from "./words.js";

const pageSize = 50;

/**
 * Tokens by what is known of them.
 *
 * @param {import("./load.js").View} view
 */
export function tokensView(view) {
  const { query } = view.address;
  const mustNameAccount = view.caller.role !== null && view.caller.role !== "operator";
  const asksForNothing = mustNameAccount && !query.account;
  const list = asksForNothing ? null : loaded(view, "The tokens", (signal) => loadPage(query, signal));
  const mayStop = view.caller.role === "operator" || view.caller.role === "dashboard";
  return [
    heading("Tokens"),
    lookupForm(view.caller),
    savedSearchLinks(query, mustNameAccount),
    filterForm(query, mustNameAccount),
    ...(mayStop && query.account && list !== null ? [accountCard(view, query.account, list.fill)] : []),
    h(
      "section",
      { class: "card", "aria-labelledby": "results" },
      h("h2", { id: "results", tabindex: "-1", "data-focus": true }, titleOf(query)),
      list?.place ??
        h(
          "p",
          { class: "notice" },
          `Your role, ${view.caller.role}, sees the tokens of one account at a time: name it above.`,
        ),
      mayStop && list !== null && Object.keys(tokenFilterOf(query)).length > 0
        ? h(
            "div",
            { class: "actions end" },
            h(
              "a",
              { class: "button", href: hrefOf("revoke-by-filter", { ...query, page: "" }) },
              "Revoke these tokens: dry run…",
            ),
          )
        : null,
    ),
  ];
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {boolean} mustNameAccount
 */
function savedSearchLinks(query, mustNameAccount) {
  const account = mustNameAccount && query.account ? { account: query.account } : {};
  return h(
    "nav",
    { class: "actions saved", "aria-label": "Saved searches" },
    savedSearches().map(([words, search]) =>
      h("a", { class: "button", href: hrefOf("tokens", { ...account, ...search }) }, words),
    ),
  );
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
    choiceFilter(query, "held", "Held", ["yes", "no"]),
    choiceFilter(query, "rotating", "Rotation under way", ["yes", "no"]),
    textFilter(query, "by", "Created by", {
      maxlength: 2048,
      title: "the identity of a service, or the id of a token whose key did it over REST",
    }),
    textFilter(query, "from", "Created from (UTC)", { type: "date" }),
    textFilter(query, "to", "Created to (UTC)", { type: "date" }),
    textFilter(query, "expiringFrom", "Expires from (UTC)", { type: "date" }),
    textFilter(query, "expiring", "Expires before (UTC)", { type: "date" }),
    textFilter(query, "unused", "Unused since (UTC)", { type: "date" }),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {AbortSignal} signal
 */
async function loadPage(query, signal) {
  const request = { pageSize, ...tokenFilterOf(query) };
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
          h("td", null, stateBadge(token.state), " ", holdBadges(token)),
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
