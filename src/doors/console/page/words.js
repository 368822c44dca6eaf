import { h } from "./dom.js";
import { ruleOf } from "./rules.js";

/** @typedef {import("./rpc.js").RpcError} RpcError */
/** @typedef {import("./rpc.js").Token} Token */

/** @type {Readonly<Record<string, string>>} */
const sentences = {
  unreachable: "The authority does not answer. It may be down, or the way to it may be.",
  CALLER_UNKNOWN: "Your certificate is good, but nobody gave its identity a role: it is not in the callers file.",
  TYPE_NOT_GRANTED: "Your role may not create tokens of this type.",
  TOKEN_NOT_FOUND: "There is no such token.",
  TOKEN_LIMIT_REACHED: "The account has as many active tokens as it may have. Revoke one that is not needed.",
  STORAGE_LOW: "The authority's disk is nearly full, so that it creates nothing. Revoking still works.",
  REQUEST_ID_REUSED: "This request was sent before with another content.",
  REPLAY_UNREADABLE: "The token was made, but its key cannot be shown again. Revoke it, and create another.",
  ROTATION_UNDER_WAY:
    "A rotation is under way, and its new key is in use. End the old key first, or cancel the rotation.",
  ROTATION_NOT_UNDER_WAY: "No rotation is under way: the old key has ended.",
  TOKEN_NOT_ACTIVE: "The token has expired or was revoked: its key cannot be rotated.",
  ACCOUNT_CLOSED: "The account is closed, and stays so.",
  UNDECIDED: "The authority cannot decide or store now.",
  DEADLINE_EXCEEDED: "The authority took too long.",
  PAGE_TOKEN_INVALID: "The address of this page is not one of ours, or belongs to another search.",
};

const choose = "Choose it when the browser asks, in a new window: browsers keep what was chosen before.";

/** What is wrong with the browser's certificate, and what to do. @type {Readonly<Record<string, string>>} */
const faults = {
  CERTIFICATE_MISSING: `Your browser showed no client certificate. Import yours into the browser (a PKCS#12 file). ${choose}`,
  CERTIFICATE_UNTRUSTED: `The certificate that your browser showed was not issued by a CA that this server trusts. If you have another certificate, take that. ${choose} Otherwise add the CA that issued this certificate to the file of TOKEN_AUTHORITY_TLS_CLIENT_CA, and send the server SIGHUP.`,
  CERTIFICATE_EXPIRED: `The certificate that your browser showed, or the one that issued it, has expired. Get a new one and import it into the browser. ${choose}`,
  CERTIFICATE_NOT_YET_VALID:
    "The certificate that your browser showed, or the one that issued it, is not valid yet. Compare the server's clock with that of the machine that issued it.",
  CERTIFICATE_UNSUITABLE: `The certificate that your browser showed is not good for a client: its usage, key or signature. Get one for clients (extended key usage clientAuth). ${choose} The server's log says what OpenSSL has against it.`,
  CERTIFICATE_WITHOUT_IDENTITY: `The certificate that your browser showed does not name one identity: it needs a SPIFFE ID as its only URI, or a DNS name. Get one that does. ${choose}`,
  PLAINTEXT_FROM_ELSEWHERE:
    "Without TLS, only this machine may ask. Come through a tunnel, or give the server a certificate.",
};

/** @param {string | undefined} fault */
function sentenceOfFault(fault) {
  return (
    faults[fault ?? ""] ??
    "Your browser showed no client certificate that this authority trusts and that names one identity."
  );
}

/**
 * Says to whoever may do nothing here why that is; null to all others.
 *
 * @param {import("./rpc.js").Caller} caller
 */
export function callerNotice({ identity, fault }) {
  return identity !== null || fault === null
    ? null
    : h(
        "div",
        { class: "notice bad" },
        h("p", { class: "notice-title" }, "This authority does not know who you are"),
        h("p", null, sentenceOfFault(fault)),
        h("p", { class: "code" }, fault),
      );
}

/**
 * What went wrong, for people.
 *
 * @param {RpcError} error
 */
function sentenceOf({ code, reason, message, metadata }) {
  if (reason === "CALLER_UNIDENTIFIED") {
    return sentenceOfFault(metadata.fault);
  }
  const known = sentences[reason] ?? sentences[code];
  if (known !== undefined) {
    return known;
  }
  return message === ""
    ? "Something went wrong that has no name. The authority's log says more."
    : ruleOf(reason === "FIELD_INVALID" ? (metadata.field ?? "") : "", message);
}

/**
 * An error as a box: in words, with the name that logs and the manual have for it, and with what to do about it.
 *
 * @param {unknown} error
 * @param {{ readonly title: string, readonly retry?: () => void, readonly advice?: string }} options
 */
export function errorBox(error, { title, retry, advice }) {
  const rpcError = asRpcError(error);
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", { class: "notice-title" }, title),
    h("p", null, sentenceOf(rpcError), advice !== undefined && ` ${advice}`),
    h(
      "p",
      { class: "code" },
      [rpcError.code, rpcError.reason, rpcError.metadata.fault ?? ""].filter((part) => part !== "").join(" · "),
    ),
    retry !== undefined && h("button", { type: "button", onclick: retry }, "Try again"),
  );
}

/**
 * @param {unknown} error
 * @returns {RpcError}
 */
export function asRpcError(error) {
  if (error instanceof Error && "code" in error && "reason" in error) {
    return /** @type {RpcError} */ (error);
  }
  throw error;
}

/** @param {string} text */
export function upperFirst(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * `TOKEN_STATE_ACTIVE` → `active`.
 *
 * @param {string} name
 */
export function wordOf(name) {
  return name
    .replace(/^[A-Z]+_[A-Z]+_/, "")
    .toLowerCase()
    .replaceAll("_", " ");
}

/** The looks of badges are those of a token's states. */
const looks = /** @type {const} */ ({ good: "active", warn: "expired", bad: "revoked" });

/**
 * A word in the colour of how good that is, with a mark for those who do not see colours.
 *
 * @param {keyof typeof looks} tone
 * @param {string} mark
 * @param {import("./dom.js").Child} text
 */
export function badge(tone, mark, text) {
  return h("span", { class: `badge state-${looks[tone]}` }, h("span", { "aria-hidden": "true" }, mark, " "), text);
}

/** @type {Readonly<Record<string, readonly [keyof typeof looks, string]>>} */
const states = {
  active: ["good", "●"],
  expired: ["warn", "◔"],
  revoked: ["bad", "✕"],
  held: ["warn", "‖"],
  closed: ["bad", "✕"],
};

/**
 * @param {string} word
 * @param {import("./dom.js").Child} text
 */
function badgeOf(word, text) {
  const [tone, mark] = states[word] ?? ["warn", ""];
  return badge(tone, mark, text);
}

/** @param {string} state */
export function stateBadge(state) {
  const word = wordOf(state);
  return badgeOf(word, word);
}

/** @param {string} state */
export function accountStateBadge(state) {
  const word = wordOf(state);
  return badgeOf(word, h("span", { class: "badge-word" }, word === "active" ? "open" : word));
}

/**
 * What stops the token's keys beside its state, a badge each.
 *
 * @param {Token} token
 */
export function holdBadges({ held = false, accountState = "ACCOUNT_STATE_ACTIVE" }) {
  const account = wordOf(accountState);
  return [held && badgeOf("held", "held"), account !== "active" && [" ", badgeOf(account, `account ${account}`)]];
}

/** @param {Token} token */
export function modeBadge({ livemode = false }) {
  return h("span", { class: livemode ? "badge live" : "badge test" }, livemode ? "live" : "test");
}

/** @param {Pick<Token, "keyPrefix" | "keyHint">} token */
export function maskedKey({ keyPrefix, keyHint }) {
  return `${keyPrefix}…${keyHint}`;
}

/**
 * A time, with how long ago or how soon that is.
 *
 * @param {string} iso
 */
export function timeOf(iso) {
  return h("time", { datetime: iso, title: iso }, iso.replace("T", " ").replace(/(?:\.\d+)?Z$/, ""));
}

/** @param {string} iso */
export function timeWithAge(iso) {
  return [timeOf(iso), h("span", { class: "muted" }, `, ${distance(Date.parse(iso) - Date.now())}`)];
}

/** @type {readonly (readonly [Intl.RelativeTimeFormatUnit, number])[]} */
const units = [
  ["year", 365 * 86_400],
  ["month", 30 * 86_400],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/**
 * How long ago or how soon something is.
 *
 * @param {number} ms
 */
export function distance(ms) {
  const seconds = Math.round(ms / 1000);
  const [unit, length] = units.find(([, one]) => Math.abs(seconds) >= one) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / length), unit);
}

/**
 * Who did something: a calling service, or a token whose key did it.
 *
 * @param {string} caller
 */
export function callerName(caller) {
  return caller.startsWith("tok_")
    ? h("a", { href: `#/tokens/${caller}`, class: "mono" }, caller)
    : h("span", { class: "mono" }, caller);
}

/**
 * `1 token`, `12 tokens`, and from the greatest count on `10,000 tokens or more`.
 *
 * @param {number} count
 * @param {number} greatest
 * @param {string} noun
 */
export function countOf(count, greatest, noun) {
  const text = `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
  return count >= greatest ? `${text} or more` : text;
}

/** @param {string} base64 */
export function hexOf(base64) {
  return [...atob(base64)].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
