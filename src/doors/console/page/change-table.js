import { hrefOf } from "./address.js";
import { h } from "./dom.js";
import { callerName, hexOf, timeOf, wordOf } from "./words.js";

/** What was done, by the action's own word. @type {Readonly<Record<string, string>>} */
export const doneWords = {
  create: "created",
  revoke: "revoked",
  "rotate key": "rotated",
  "end key": "key ended",
  "cancel rotation": "rotation cancelled",
  hold: "held",
  resume: "released",
  close: "closed",
  attest: "attested",
};
const takesAway = new Set(["revoke", "close", "hold"]);

/**
 * Rows of the journal.
 *
 * @param {readonly import("./rpc.js").Change[]} changes
 * @param {boolean} namesToken
 */
export function changeTable(changes, namesToken) {
  const columns = ["Revision", "Change", ...(namesToken ? ["Token", "Account"] : ["Reason"]), "When", "By", "Hash"];
  return h(
    "table",
    { class: "changes" },
    h("caption", { class: "unseen" }, "Changes, newest first"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        columns.map((text) => h("th", { scope: "col", class: classOfColumn(text) }, text)),
      ),
    ),
    h(
      "tbody",
      null,
      changes.map((change) => changeRow(change, namesToken)),
    ),
  );
}

/** @param {string} column */
function classOfColumn(column) {
  return column === "Revision" ? "number" : ["Account", "When", "By", "Hash"].includes(column) ? "wide" : null;
}

/**
 * @param {import("./rpc.js").Change} change
 * @param {boolean} namesToken
 */
function changeRow(change, namesToken) {
  const { revision, action, tokenId, tokenName, account = "", changeTime, caller, hash, reason: why } = change;
  const reason = why !== undefined && h("span", { class: "reason" }, "“", why, "”");
  const word = wordOf(action);
  const onPhone = h(
    "span",
    { class: "narrow-only" },
    namesToken && h("span", { class: "mono" }, account),
    h("span", null, timeOf(changeTime)),
    h("span", { class: "breaks" }, "by ", callerName(caller)),
  );
  return h(
    "tr",
    null,
    h("th", { scope: "row", class: "number" }, revision),
    h("td", null, h("span", { class: takesAway.has(word) ? "badge state-revoked" : "badge" }, doneWords[word] ?? word)),
    namesToken
      ? h(
          "td",
          { class: "breaks" },
          tokenId === undefined
            ? h("span", { class: "muted" }, account === "" ? "the journal itself" : "the account")
            : h("a", { href: `#/tokens/${tokenId}` }, tokenName),
          reason,
          onPhone,
        )
      : h("td", { class: "breaks" }, reason, onPhone),
    namesToken &&
      h("td", { class: "wide breaks" }, h("a", { class: "quiet mono", href: hrefOf("journal", { account }) }, account)),
    h("td", { class: "wide time" }, timeOf(changeTime)),
    h("td", { class: "wide breaks" }, callerName(caller)),
    h("td", { class: "wide" }, h("span", { class: "mono muted", title: hexOf(hash) }, `${hexOf(hash).slice(0, 12)}…`)),
  );
}
