import { hrefOf } from "./address.js";
import { field, h } from "./dom.js";
import { heading, loaded, pager } from "./load.js";
import { call } from "./rpc.js";
import { accountStateBadge } from "./words.js";

const maxCounted = 10_000;

/**
 * The accounts, and how many tokens each has.
 *
 * @param {import("./load.js").View} view
 */
export function accountsView(view) {
  const { prefix = "", page = "" } = view.address.query;
  return [
    heading("Accounts"),
    h(
      "form",
      {
        class: "card filters",
        role: "search",
        "aria-label": "Find accounts",
        autocomplete: "off",
        onsubmit(event) {
          event.preventDefault();
          location.hash = hrefOf("accounts", {
            prefix: String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get("prefix")).trim(),
          });
        },
      },
      field(
        "accounts-prefix",
        "Name begins with",
        h("input", {
          id: "accounts-prefix",
          name: "prefix",
          value: prefix,
          maxlength: 64,
          pattern: "[0-9A-Za-z_\\-]*",
          title: "letters, digits, _ and -",
          autocomplete: "off",
          autocapitalize: "off",
          spellcheck: "false",
        }),
      ),
      h(
        "div",
        { class: "actions" },
        h("button", { type: "submit", class: "primary" }, "Find"),
        prefix !== "" && h("a", { class: "button", href: "#/accounts" }, "Clear"),
      ),
    ),
    h(
      "section",
      { class: "card", "aria-labelledby": "results" },
      h(
        "h2",
        { id: "results", tabindex: "-1", "data-focus": true },
        prefix === "" ? "All accounts" : `Accounts that begin with ${prefix}`,
      ),
      loaded(view, "The accounts", async (signal) => {
        const { accounts = [], nextPageToken = "" } = await call("ListAccounts", { prefix, pageToken: page }, signal);
        const pages = pager({
          first: page === "" ? null : hrefOf("accounts", { prefix }),
          next: nextPageToken === "" ? null : hrefOf("accounts", { prefix, page: nextPageToken }),
        });
        return [
          accounts.length === 0
            ? h(
                "p",
                { class: "empty" },
                prefix === "" ? "No account has tokens yet." : "No account with tokens begins with that.",
              )
            : accountTable(accounts),
          ...(pages === null ? [] : [pages]),
        ];
      }).place,
    ),
  ];
}

/** @param {readonly import("./rpc.js").Account[]} accounts */
function accountTable(accounts) {
  return h(
    "table",
    null,
    h("caption", { class: "unseen" }, "Accounts and their tokens by state"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Account"),
        ["Active", "Expired", "Revoked"].map((text) => h("th", { scope: "col", class: "number" }, text)),
      ),
    ),
    h(
      "tbody",
      null,
      accounts.map(({ account, state = "ACCOUNT_STATE_ACTIVE", activeCount = 0, expiredCount = 0, revokedCount = 0 }) =>
        h(
          "tr",
          null,
          h(
            "th",
            { scope: "row", class: "breaks" },
            h("a", { class: "mono", href: hrefOf("tokens", { account }) }, account),
            state !== "ACCOUNT_STATE_ACTIVE" && [" ", accountStateBadge(state)],
          ),
          countCell(account, "active", activeCount),
          countCell(account, "expired", expiredCount),
          countCell(account, "revoked", revokedCount),
        ),
      ),
    ),
  );
}

/**
 * @param {string} account
 * @param {string} state
 * @param {number} count
 */
function countCell(account, state, count) {
  const text = count >= maxCounted ? `${maxCounted.toLocaleString("en")}+` : count.toLocaleString("en");
  return h(
    "td",
    { class: "number" },
    count === 0
      ? h("span", { class: "muted" }, "0")
      : h(
          "a",
          {
            class: "quiet",
            href: hrefOf("tokens", { account, state }),
            "aria-label": `${text} ${state} tokens of ${account}`,
          },
          text,
        ),
  );
}
