import { hintField, openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { showKeyOnce } from "./key-once.js";
import { createRetry } from "./retry.js";
import { call } from "./rpc.js";
import { settledWords } from "./settlement.js";
import { maskedKey, timeWithAge, wordOf } from "./words.js";

/** @typedef {import("./rpc.js").Token} Token */
/** @typedef {import("./rpc.js").Key} Key */
/**
 * @typedef {object} Place
 * @property {import("./rpc.js").Caller} caller
 * @property {AbortSignal} signal
 * @property {() => Promise<void>} onChanged
 */

/** How long the old key may live on: words, and seconds. */
const overlaps = /** @type {const} */ ([
  ["1 hour", 3600],
  ["1 day", 86_400],
  ["7 days", 604_800],
  ["not at all: it ends at once", 0],
]);
const longestMs = 604_800_000;

/**
 * The keys that the token has and had, and what can be done to them.
 *
 * @param {Token} token
 * @param {Place} place
 */
export function keysCard(token, place) {
  const { keys = [] } = token;
  const [current, old] = keys.filter(isLive);
  const isActive = token.state === "TOKEN_STATE_ACTIVE" && token.accountState !== "ACCOUNT_STATE_CLOSED";
  const mayRotate = isActive && (place.caller.role !== "service" || wordOf(token.type) === "restricted");
  return h(
    "section",
    { class: "card", "aria-labelledby": "keys" },
    h("h2", { id: "keys" }, "Keys"),
    keyTable(token, keys),
    mayRotate &&
      h(
        "div",
        { class: "actions" },
        old === undefined || current === undefined
          ? button("Rotate…", () => openRotate(token, place))
          : [
              button("End the old key now…", () => openCut(token, old, place), "danger"),
              button("Move its end…", () => openMove(token, current, old, place)),
              button("Cancel the rotation…", () => openCancel(token, current, old, place)),
              current.lastUseTime === undefined && button("Rotate again…", () => openRotate(token, place)),
            ],
      ),
  );
}

/** @param {Key} key */
function isLive({ endTime }) {
  return endTime === undefined || Date.parse(endTime) > Date.now();
}

/**
 * @param {string} text
 * @param {() => void} onclick
 * @param {string | null} [kind]
 */
function button(text, onclick, kind = null) {
  return h("button", { type: "button", class: kind, onclick }, text);
}

/**
 * @param {Token} token
 * @param {readonly Key[]} keys
 */
function keyTable({ keyPrefix, state }, keys) {
  return h(
    "table",
    null,
    h("caption", { class: "unseen" }, "Keys, those that live first"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        ["Key", "Issued", "Ends", "Last used"].map((text) =>
          h("th", { scope: "col", class: text === "Issued" ? "wide" : null }, text),
        ),
      ),
    ),
    h(
      "tbody",
      null,
      keys.map((key) =>
        h(
          "tr",
          null,
          h("th", { scope: "row", class: "mono" }, maskedKey({ keyPrefix, keyHint: key.hint })),
          h("td", { class: "wide" }, timeWithAge(key.issueTime)),
          h(
            "td",
            null,
            key.endTime === undefined
              ? h(
                  "span",
                  { class: "muted" },
                  state === "TOKEN_STATE_ACTIVE" ? "with its token" : "ended with its token",
                )
              : [timeWithAge(key.endTime), " ", isLive(key) ? null : h("span", { class: "badge" }, "retired")],
          ),
          h(
            "td",
            null,
            key.lastUseTime === undefined ? h("span", { class: "muted" }, "never") : timeWithAge(key.lastUseTime),
          ),
        ),
      ),
    ),
  );
}

/**
 * @param {Token} token
 * @param {Place} place
 */
function openRotate(token, { signal, onChanged }) {
  const retry = createRetry("RotateKey");
  const overlap = h(
    "select",
    { id: "rotate-overlap", "aria-describedby": "rotate-overlap-hint rotate-overlap-error" },
    overlaps.map(([text, seconds]) => h("option", { value: seconds }, text)),
  );
  openDialog({
    id: "rotate",
    title: `Rotate the key of “${token.name}”?`,
    lead: [
      "A new key is issued at once and shown once. The token stays: its id, permissions and name. Until the old key ends, both pass.",
    ],
    fields: [
      {
        control: overlap,
        label: "The old key lives on for",
        hint: "Its end can be moved later, to 7 days from now at the latest.",
        names: "overlap",
      },
    ],
    keep: "Keep the key",
    submit: "Issue a new key",
    isDangerous: false,
    failed: "The key was not rotated",
    again: retry.isSafe()
      ? "Send it again: it issues one key, however often it is sent."
      : "This authority has no sealing secret: look at the token's keys before you send it again.",
    signal,
    async send() {
      const request = { id: token.id, overlap: `${overlap.value}s` };
      const answer = await retry.send(request, signal);
      const { token: rotated, key = "" } = answer;
      showKeyOnce(rotated, key, {
        said: `A new key of “${rotated.name}” was issued.${settledWords(answer)}`,
        gone: "The new key was issued, and has ended since",
        signal,
        onDone: () => void onChanged(),
      });
      return null;
    },
  });
}

/**
 * @param {Token} token
 * @param {Key} old
 * @param {Place} place
 */
function openCut(token, old, { signal, onChanged }) {
  openDialog({
    id: "cut",
    title: `End the old key of “${token.name}” now?`,
    lead: [
      [
        "From the answer on, no gateway lets the key ",
        h("span", { class: "mono" }, maskedKey({ keyPrefix: token.keyPrefix, keyHint: old.hint })),
        " pass. The new key goes on. There is no way back.",
      ],
      old.lastUseTime === undefined
        ? "The old key was never used."
        : ["The old key was last used ", timeWithAge(old.lastUseTime), "."],
    ],
    fields: [hintField("cut-confirm", "the old key", old.hint)],
    keep: "Leave it",
    submit: "End the old key",
    failed: "The old key was not ended",
    again: "Nothing is lost: send it again, for ending a key twice changes nothing.",
    signal,
    async send() {
      const answer = await call("EndRotation", { id: token.id, cutOldNow: true }, signal);
      return `Ended the old key of “${token.name}”.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}

/**
 * @param {Token} token
 * @param {Key} current
 * @param {Key} old
 * @param {Place} place
 */
function openMove(token, current, old, { signal, onChanged }) {
  const latest = new Date(Date.parse(current.issueTime) + longestMs).toISOString().slice(0, 16);
  const end = h("input", {
    id: "move-end",
    type: "datetime-local",
    step: 60,
    required: true,
    value: (old.endTime ?? latest).slice(0, 16),
    max: latest,
    "aria-describedby": "move-end-hint move-end-error",
  });
  openDialog({
    id: "move",
    title: `Move the end of the old key of “${token.name}”`,
    lead: [
      [
        "The old key ",
        h("span", { class: "mono" }, maskedKey({ keyPrefix: token.keyPrefix, keyHint: old.hint })),
        " passes until then.",
      ],
    ],
    fields: [
      {
        control: end,
        label: "Ends (UTC)",
        hint: `Until ${latest.replace("T", " ")}, 7 days after the rotation, at the latest.`,
        names: "move_end",
      },
    ],
    keep: "Leave it",
    submit: "Move the end",
    isDangerous: false,
    failed: "The end was not moved",
    again: "Send it again: it changes nothing more.",
    signal,
    async send() {
      const answer = await call("EndRotation", { id: token.id, moveEnd: `${end.value}:00Z` }, signal);
      return `Moved the end of the old key.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}

/**
 * @param {Token} token
 * @param {Key} current
 * @param {Key} old
 * @param {Place} place
 */
function openCancel(token, current, old, { signal, onChanged }) {
  openDialog({
    id: "cancel",
    title: `Cancel the rotation of “${token.name}”?`,
    lead: [
      [
        "From the answer on, no gateway lets the new key ",
        h("span", { class: "mono" }, maskedKey({ keyPrefix: token.keyPrefix, keyHint: current.hint })),
        " pass. The old key ",
        h("span", { class: "mono" }, maskedKey({ keyPrefix: token.keyPrefix, keyHint: old.hint })),
        " goes on, with no end of its own.",
      ],
    ],
    fields: [hintField("cancel-confirm", "the new key", current.hint)],
    keep: "Leave it",
    submit: "Cancel the rotation",
    failed: "The rotation was not cancelled",
    again: "Nothing is lost: send it again, for cancelling twice changes nothing.",
    signal,
    async send() {
      const answer = await call("EndRotation", { id: token.id, cancel: true }, signal);
      return `Cancelled the rotation of “${token.name}”.${settledWords(answer)}`;
    },
    onDone: onChanged,
  });
}
