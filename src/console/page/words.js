import { h } from "./dom.js";

/** @typedef {import("./rpc.js").RpcError} RpcError */
/** @typedef {import("./rpc.js").Token} Token */

/** @type {Readonly<Record<string, string>>} */
const sentences = {
  unreachable: "The authority does not answer. It may be down, or the way to it may be.",
  CALLER_UNIDENTIFIED:
    "Your browser showed no client certificate that this authority trusts and that names one identity.",
  CALLER_UNKNOWN: "Your certificate is good, but nobody gave its identity a role: it is not in the callers file.",
  TYPE_NOT_GRANTED: "Your role may not create tokens of this type.",
  TOKEN_NOT_FOUND: "There is no such token.",
  TOKEN_LIMIT_REACHED: "The account has as many active tokens as it may have. Revoke one that is not needed.",
  STORAGE_LOW: "The authority's disk is nearly full, so that it creates nothing. Revoking still works.",
  REQUEST_ID_REUSED: "This request was sent before with another content.",
  REPLAY_UNREADABLE: "The token was made, but its key cannot be shown again. Revoke it, and create another.",
  UNDECIDED: "The authority cannot decide or store now.",
  DEADLINE_EXCEEDED: "The authority took too long.",
  PAGE_TOKEN_INVALID: "The address of this page is not one of ours, or belongs to another search.",
};

/**
 * What went wrong, for people.
 *
 * @param {RpcError} error
 */
function sentenceOf({ code, reason, message }) {
  const known = sentences[reason] ?? sentences[code];
  if (known !== undefined) {
    return known;
  }
  return message === ""
    ? "Something went wrong that has no name. The authority's log says more."
    : `${upperFirst(message)}.`;
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
    h("p", { class: "code" }, [rpcError.code, rpcError.reason].filter((part) => part !== "").join(" · ")),
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

/** @type {Readonly<Record<string, string>>} */
const stateMarks = { active: "●", expired: "◔", revoked: "✕" };

/** @param {string} state */
export function stateBadge(state) {
  const word = wordOf(state);
  return h(
    "span",
    { class: `badge state-${word}` },
    h("span", { "aria-hidden": "true" }, stateMarks[word] ?? "", " "),
    word,
  );
}

/** @param {Token} token */
export function modeBadge({ livemode = false }) {
  return h("span", { class: livemode ? "badge live" : "badge test" }, livemode ? "live" : "test");
}

/** @param {Token} token */
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

/** @param {number} ms */
function distance(ms) {
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

/** @param {string} base64 */
export function hexOf(base64) {
  return [...atob(base64)].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
