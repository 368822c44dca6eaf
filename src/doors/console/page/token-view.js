import { hrefOf } from "./address.js";
import { copyButton, field, h, markField, say } from "./dom.js";
import { heading, loaded, pager } from "./load.js";
import { call } from "./rpc.js";
import { plainRule } from "./rules.js";
import {
  asRpcError,
  callerName,
  errorBox,
  hexOf,
  maskedKey,
  modeBadge,
  stateBadge,
  timeOf,
  timeWithAge,
  wordOf,
} from "./words.js";

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
    return tokenParts(token, revoker, revoke);
  });
  const life = loaded(view, "The token's life", (signal) => loadLife(view.address, signal));

  /** @param {Token} token */
  function revoke(token) {
    openRevokeDialog(token, view.signal, async () => {
      await Promise.all([fill(), life.fill()]);
      title.focus();
    });
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
 * @param {(token: Token) => void} revoke
 */
function tokenParts(token, revoker, revoke) {
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
      ),
      !isRevoked && h("button", { type: "button", class: "danger", onclick: () => revoke(token) }, "Revoke…"),
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
  const { revision, action, tokenId, tokenName, account, changeTime, caller, hash, revokeReason } = change;
  const reason = revokeReason !== undefined && h("span", { class: "reason" }, "“", revokeReason, "”");
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
    h(
      "td",
      null,
      wordOf(action) === "revoke"
        ? h("span", { class: "badge state-revoked" }, "revoked")
        : h("span", { class: "badge" }, "created"),
    ),
    namesToken
      ? h("td", { class: "breaks" }, h("a", { href: `#/tokens/${tokenId}` }, tokenName), reason, onPhone)
      : h("td", { class: "breaks" }, reason, onPhone),
    namesToken &&
      h("td", { class: "wide breaks" }, h("a", { class: "quiet mono", href: hrefOf("journal", { account }) }, account)),
    h("td", { class: "wide time" }, timeOf(changeTime)),
    h("td", { class: "wide breaks" }, callerName(caller)),
    h("td", { class: "wide" }, h("span", { class: "mono muted", title: hexOf(hash) }, `${hexOf(hash).slice(0, 12)}…`)),
  );
}

/**
 * @param {Token} token
 * @param {AbortSignal} signal
 * @param {() => Promise<void>} onRevoked
 */
function openRevokeDialog(token, signal, onRevoked) {
  const reason = h("input", {
    id: "revoke-reason",
    maxlength: 256,
    autocomplete: "off",
    "aria-describedby": "revoke-reason-hint revoke-reason-error",
  });
  const confirmation = h("input", {
    id: "revoke-confirm",
    class: "mono",
    maxlength: 4,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "revoke-confirm-hint revoke-confirm-error",
  });
  const problem = h("div");
  const submit = h("button", { type: "submit", class: "danger" }, `Revoke “${token.name}”`);
  const dialog = h(
    "dialog",
    { "aria-labelledby": "revoke-title", onclose: () => dialog.remove() },
    h(
      "form",
      {
        autocomplete: "off",
        onsubmit(event) {
          event.preventDefault();
          void send();
        },
      },
      h("h2", { id: "revoke-title" }, `Revoke “${token.name}”?`),
      h(
        "p",
        null,
        "From the answer on, no gateway lets the key ",
        h("span", { class: "mono" }, maskedKey(token)),
        " of account ",
        h("span", { class: "mono" }, token.account),
        " pass. There is no way back.",
      ),
      h("p", { class: "mono muted breaks" }, token.id),
      field("revoke-reason", "Reason", reason, { hint: "For the people who ask later. It may stay empty." }),
      field("revoke-confirm", `To confirm, type the last 4 characters of the key of “${token.name}”`, confirmation, {
        hint: `They are ${token.keyHint}.`,
      }),
      problem,
      h(
        "div",
        { class: "actions end" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Keep it"),
        submit,
      ),
    ),
  );

  async function send() {
    markField(reason, null);
    markField(confirmation, null);
    if (confirmation.value.trim() !== token.keyHint) {
      markField(confirmation, `These are not the last 4 characters, ${token.keyHint}: upper and lower case count.`);
      confirmation.focus();
      return;
    }
    submit.disabled = true;
    try {
      await call("Revoke", { id: token.id, reason: reason.value.trim() }, signal);
      dialog.close();
      say(`Revoked “${token.name}”.`);
      await onRevoked();
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      showProblem(asRpcError(error));
    } finally {
      submit.disabled = false;
    }
  }

  /** @param {import("./rpc.js").RpcError} error */
  function showProblem(error) {
    if (error.metadata.field === "reason") {
      problem.replaceChildren();
      markField(reason, plainRule(error.message));
      reason.focus();
      return;
    }
    const advice = error.isUnknown
      ? "It is not known whether the token was revoked. Nothing is lost: send it again, for revoking twice changes nothing."
      : "";
    problem.replaceChildren(errorBox(error, { title: "The token was not revoked", advice }));
    if (error.isUnknown) {
      problem.querySelector(".notice-title")?.replaceChildren("The outcome is not known");
    }
  }

  signal.addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}
