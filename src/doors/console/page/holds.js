import { confirmationField, openDialog, reasonField } from "./dialog.js";
import { h } from "./dom.js";
import { call } from "./rpc.js";
import { settledWords } from "./settlement.js";

/** @typedef {import("./keys-card.js").Place} Place */

/**
 * What is held: a token or an account.
 *
 * @typedef {object} Subject
 * @property {string} name
 * @property {{ readonly tokenId: string } | { readonly account: string }} named As SetHold names it.
 */

/** @param {import("./rpc.js").Token} token @returns {Subject} */
export function subjectOfToken({ id, name }) {
  return { name: `“${name}”`, named: { tokenId: id } };
}

/** @param {string} account @returns {Subject} */
export function subjectOfAccount(account) {
  return { name: `account ${account}`, named: { account } };
}

/**
 * @param {Subject} subject
 * @param {boolean} isHeld Whether a hold is set, which the button then lifts.
 * @param {Place} place
 */
export function holdButton(subject, isHeld, place) {
  return h(
    "button",
    { type: "button", onclick: () => (isHeld ? openRelease(subject, place) : openHold(subject, place)) },
    isHeld ? "Release…" : "Hold…",
  );
}

/**
 * @param {Subject} subject
 * @param {Place} place
 */
function openHold({ name, named }, { signal, onChanged }) {
  const reason = reasonField("hold-reason");
  const keys = "account" in named ? "no key of the account passes" : "the token's keys do not pass";
  openDialog({
    id: "hold",
    title: `Hold ${name}?`,
    lead: [
      `From the answer on, ${keys}: gateways answer 403 and say that it is held, not that a key is bad. A release gives everything back.`,
    ],
    fields: [reason],
    keep: "Let it pass",
    submit: `Hold ${name}`,
    failed: "Nothing was held",
    again: "Nothing is lost: send it again, for holding twice changes nothing.",
    signal,
    async send() {
      const answer = await call("SetHold", { ...named, held: true, reason: reason.control.value.trim() }, signal);
      return `Held ${name}.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}

/**
 * @param {Subject} subject
 * @param {Place} place
 */
function openRelease({ name, named }, { signal, onChanged }) {
  const reason = reasonField("release-reason");
  openDialog({
    id: "release",
    title: `Release ${name}?`,
    lead: ["What would pass without the hold passes again: not what has expired or was revoked meanwhile."],
    fields: [reason],
    keep: "Keep the hold",
    submit: `Release ${name}`,
    isDangerous: false,
    failed: "Nothing was released",
    again: "Nothing is lost: send it again, for releasing twice changes nothing.",
    signal,
    async send() {
      const answer = await call("SetHold", { ...named, held: false, reason: reason.control.value.trim() }, signal);
      return `Released ${name}.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}

/**
 * @param {string} account
 * @param {Place} place
 */
export function closeButton(account, { signal, onChanged }) {
  const reason = reasonField("close-reason");
  const question = {
    id: "close",
    title: `Close account ${account}?`,
    lead: [
      "From the answer on, no key of the account passes and none is created. There is no way back: to stop it and look first, hold it.",
    ],
    fields: [
      reason,
      confirmationField("close-confirm", {
        label: "To confirm, type the account's name",
        expected: account,
        hint: `It is ${account}.`,
        wrong: `This is not ${account}.`,
      }),
    ],
    keep: "Keep it open",
    submit: `Close account ${account}`,
    failed: "The account was not closed",
    again: "Nothing is lost: send it again, for closing twice changes nothing.",
    signal,
    async send() {
      const answer = await call("CloseAccount", { account, reason: reason.control.value.trim() }, signal);
      return `Closed account ${account}.${settledWords(answer)}`;
    },
    onDone: onChanged,
  };
  return h("button", { type: "button", class: "danger", onclick: () => openDialog(question) }, "Close…");
}
