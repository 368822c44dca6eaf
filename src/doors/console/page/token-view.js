import { hrefOf } from "./address.js";
import { changeTable } from "./change-table.js";
import { hintField, openDialog, reasonField } from "./dialog.js";
import { copyButton, h } from "./dom.js";
import { holdButton, subjectOfToken } from "./holds.js";
import { keysCard } from "./keys-card.js";
import { heading, loaded, pager } from "./load.js";
import { call } from "./rpc.js";
import { settledWords } from "./settlement.js";
import { callerName, holdBadges, maskedKey, modeBadge, stateBadge, timeWithAge, wordOf } from "./words.js";

/** @typedef {import("./rpc.js").Token} Token */

/**
 * One token: what it is, what it may do, its life; and its end.
 *
 * @param {import("./load.js").View} view
 */
export function tokenView(view) {
  const { id } = view.address;
  const title = heading("Token");
  const { place, fill } = loaded(view, "The token", async (signal) => {
    const { token } = await call("Get", { id }, signal);
    const revoker = token.state === "TOKEN_STATE_REVOKED" ? await findRevoker(id, signal) : null;
    title.textContent = token.name;
    document.title = `${token.name} · Token authority`;
    return tokenParts(token, revoker, { caller: view.caller, signal: view.signal, onChanged });
  });
  const life = loaded(view, "The token's life", (signal) => loadLife(view.address, signal));

  async function onChanged() {
    await Promise.all([fill(), life.fill()]);
    title.focus();
  }

  return [
    h("p", { class: "crumbs" }, h("a", { href: "#/tokens" }, "Tokens"), " / ", h("span", { class: "mono" }, id)),
    title,
    place,
    h("section", { class: "card", "aria-labelledby": "life" }, h("h2", { id: "life" }, "Life"), life.place),
  ];
}

/**
 * Who revoked the token, which the journal alone knows.
 *
 * @param {string} tokenId
 * @param {AbortSignal} signal
 */
async function findRevoker(tokenId, signal) {
  const request = { tokenId, action: "CHANGE_ACTION_REVOKE", pageSize: 1 };
  const [change] = (await call("ListChanges", request, signal)).changes ?? [];
  return change?.caller ?? null;
}

/**
 * @param {Token} token
 * @param {string | null} revoker
 * @param {import("./keys-card.js").Place} changing
 */
function tokenParts(token, revoker, changing) {
  const { role } = changing.caller;
  const mayHold = role === "operator" || role === "dashboard";
  const isRevoked = token.state === "TOKEN_STATE_REVOKED";
  /** @type {readonly (readonly [string, import("./dom.js").Child])[]} */
  const facts = [
    ["Id", [h("span", { class: "mono" }, token.id), " ", copyButton(() => token.id, "the token's id")]],
    ["Account", h("a", { class: "mono", href: hrefOf("tokens", { account: token.account }) }, token.account)],
    ["Key", h("span", { class: "mono" }, maskedKey(token))],
    ["Created", [timeWithAge(token.createTime), " by ", callerName(token.createdBy)]],
    ["Expires", token.expireTime === undefined ? "never" : timeWithAge(token.expireTime)],
    ["Last used", token.lastUseTime === undefined ? "never" : timeWithAge(token.lastUseTime)],
    ...(token.revokeTime === undefined
      ? []
      : [
          /** @type {const} */ ([
            "Revoked",
            [timeWithAge(token.revokeTime), revoker !== null && [" by ", callerName(revoker)]],
          ]),
          /** @type {const} */ (["Reason", token.revokeReason ?? "none given"]),
        ]),
  ];
  return [
    h(
      "div",
      { class: "title-line" },
      h(
        "p",
        { class: "badges" },
        stateBadge(token.state),
        " ",
        modeBadge(token),
        " ",
        h("span", { class: "badge" }, wordOf(token.type)),
        " ",
        holdBadges(token),
      ),
      h(
        "div",
        { class: "actions" },
        mayHold && !isRevoked && holdButton(subjectOfToken(token), token.held === true, changing),
        !isRevoked &&
          h("button", { type: "button", class: "danger", onclick: () => openRevoke(token, changing) }, "Revoke…"),
      ),
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "section",
        { class: "card", "aria-labelledby": "facts" },
        h("h2", { id: "facts" }, "Facts"),
        h(
          "dl",
          null,
          facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
        ),
      ),
      h(
        "section",
        { class: "card", "aria-labelledby": "may" },
        h("h2", { id: "may" }, isRevoked ? "What it could do" : "What it may do"),
        ...permissionParts(token),
      ),
    ),
    keysCard(token, changing),
  ];
}

/** @param {Token} token */
function permissionParts({ type, permissions = [] }) {
  switch (wordOf(type)) {
    case "secret":
      return [h("p", null, h("strong", null, "Everything."), " A secret key covers every permission of its account.")];
    case "publishable":
      return [
        h(
          "p",
          null,
          h("strong", null, "Nothing by permission."),
          " A publishable key passes only where a gateway lets its type in. Anybody may see it.",
        ),
      ];
    default:
      return [
        h(
          "ul",
          { class: "chips" },
          permissions.map((permission) => h("li", { class: "mono" }, permission)),
        ),
        h("p", { class: "hint" }, "write covers read of the same resource."),
      ];
  }
}

/**
 * @param {import("./address.js").Address} address
 * @param {AbortSignal} signal
 */
async function loadLife({ id, query }, signal) {
  const { changes = [], nextPageToken } = await call(
    "ListChanges",
    { tokenId: id, pageToken: query.page ?? "" },
    signal,
  );
  const next = nextPageToken ? pager({ next: hrefOf(`tokens/${id}`, { page: nextPageToken }) }) : null;
  return [changeTable(changes, false), ...(next === null ? [] : [next])];
}

/**
 * @param {Token} token
 * @param {import("./keys-card.js").Place} place
 */
function openRevoke(token, { signal, onChanged }) {
  const reason = reasonField("revoke-reason");
  openDialog({
    id: "revoke",
    title: `Revoke “${token.name}”?`,
    lead: [
      [
        "From the answer on, no gateway lets the key ",
        h("span", { class: "mono" }, maskedKey(token)),
        " of account ",
        h("span", { class: "mono" }, token.account),
        " pass. There is no way back.",
      ],
      h("span", { class: "mono muted breaks" }, token.id),
    ],
    fields: [reason, hintField("revoke-confirm", `the key of “${token.name}”`, token.keyHint)],
    keep: "Keep it",
    submit: `Revoke “${token.name}”`,
    failed: "The token was not revoked",
    again:
      "It is not known whether the token was revoked. Nothing is lost: send it again, for revoking twice changes nothing.",
    signal,
    async send() {
      const answer = await call("Revoke", { id: token.id, reason: reason.control.value.trim() }, signal);
      return `Revoked “${token.name}”.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}
