import { hrefOf } from "./address.js";
import { announce, field, h } from "./dom.js";
import { heading, loaded, pager } from "./load.js";
import { lookupForm } from "./lookup.js";
import { call } from "./rpc.js";
import { maskedKey, modeBadge, stateBadge, timeOf, wordOf } from "./words.js";

const pageSize = 50;
// A page looks at 10,000 tokens at the most, and may be empty with more behind it.
const maxEmptyPages = 10;

const filters = /** @type {const} */ (["account", "name", "permission", "hint", "state", "type", "mode"]);

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
    lookupForm(),
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
  const said = filters.filter((name) => query[name]).map((name) => `${name} ${query[name]}`);
  return said.length === 0 ? "All tokens, newest first" : `Tokens with ${said.join(", ")}`;
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {boolean} mustNameAccount
 */
function filterForm(query, mustNameAccount) {
  /**
   * @param {string} name
   * @param {string} label
   * @param {import("./dom.js").Props} [props]
   */
  const text = (name, label, props = {}) =>
    field(
      `filter-${name}`,
      label,
      h("input", {
        id: `filter-${name}`,
        name,
        value: query[name] ?? "",
        autocomplete: "off",
        autocapitalize: "off",
        spellcheck: "false",
        "aria-describedby": `filter-${name}-error`,
        ...props,
      }),
    );
  /**
   * @param {string} name
   * @param {string} label
   * @param {readonly string[]} values
   */
  const choice = (name, label, values) =>
    field(
      `filter-${name}`,
      label,
      h(
        "select",
        { id: `filter-${name}`, name },
        h("option", { value: "" }, "any"),
        values.map((value) => h("option", { value, selected: query[name] === value }, value)),
      ),
    );
  return h(
    "form",
    {
      class: "card filters",
      "aria-label": "Filter tokens",
      autocomplete: "off",
      onsubmit(event) {
        event.preventDefault();
        const data = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
        const wanted = hrefOf(
          "tokens",
          Object.fromEntries([...data].map(([name, value]) => [name, String(value).trim()])),
        );
        if (wanted === location.hash) {
          dispatchEvent(new HashChangeEvent("hashchange"));
        } else {
          location.hash = wanted;
        }
      },
    },
    text("account", "Account", { maxlength: 64, required: mustNameAccount }),
    text("name", "Name contains", { maxlength: 100 }),
    text("permission", "May do", {
      placeholder: "events:read",
      pattern: "[a-z][a-z0-9_]{0,62}:(read|write)",
      title: "resource:read or resource:write",
    }),
    text("hint", "Key ends with", {
      maxlength: 4,
      pattern: "[0-9A-Za-z]{4}",
      title: "the last 4 characters of the key",
      class: "mono",
    }),
    choice("state", "State", ["active", "expired", "revoked"]),
    choice("type", "Type", ["secret", "publishable", "restricted"]),
    choice("mode", "Mode", ["live", "test"]),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "Filter"),
      h("a", { class: "button", href: "#/tokens" }, "Clear"),
    ),
  );
}

/**
 * @param {Readonly<Record<string, string>>} query
 * @param {AbortSignal} signal
 */
async function loadPage(query, signal) {
  const request = {
    pageSize,
    account: query.account ?? "",
    nameContains: query.name ?? "",
    permission: query.permission ?? "",
    keyHint: query.hint ?? "",
    ...(query.state ? { states: [`TOKEN_STATE_${query.state.toUpperCase()}`] } : {}),
    ...(query.type ? { types: [`TOKEN_TYPE_${query.type.toUpperCase()}`] } : {}),
    ...(query.mode ? { livemode: query.mode === "live" } : {}),
  };
  let pageToken = query.page ?? "";
  let page = await call("List", { ...request, pageToken }, signal);
  for (let pages = 1; !page.tokens?.length && page.nextPageToken && pages < maxEmptyPages; pages += 1) {
    pageToken = page.nextPageToken;
    page = await call("List", { ...request, pageToken }, signal);
  }
  const { tokens = [], nextPageToken = "", previousPageToken = "" } = page;
  /** @param {string} token */
  const hrefOfPage = (token) => (token === "" ? null : hrefOf("tokens", { ...query, page: token }));
  const pages = pager({ previous: hrefOfPage(previousPageToken), next: hrefOfPage(nextPageToken) });
  const count = tokens.length === 1 ? "1 token" : `${tokens.length} tokens`;
  announce(nextPageToken === "" ? `${count}.` : `${count} on this page, and there are more.`);
  return [
    tokens.length === 0
      ? h(
          "p",
          { class: "empty" },
          nextPageToken === ""
            ? "No token is like that."
            : "None so far, and there are more to look through: go on to older ones.",
        )
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
