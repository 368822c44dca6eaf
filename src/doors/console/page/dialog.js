import { field, h, markField, say } from "./dom.js";
import { plainRule } from "./rules.js";
import { asRpcError, errorBox } from "./words.js";

/**
 * A field of a dialog.
 *
 * @typedef {object} DialogField
 * @property {HTMLInputElement | HTMLSelectElement} control
 * @property {string} label
 * @property {string} [hint]
 * @property {string} [names] The field of the request that it fills, as errors name it.
 * @property {() => string | null} [fault] What is wrong with what was filled in.
 */
/**
 * @typedef {object} Question
 * @property {string} id
 * @property {string} title
 * @property {readonly import("./dom.js").Child[]} lead What happens then, a paragraph each.
 * @property {readonly DialogField[]} fields
 * @property {string} keep Leaves everything as it is.
 * @property {string} submit
 * @property {boolean} [isDangerous] True unless said otherwise.
 * @property {string} failed "The token was not revoked".
 * @property {string} again What sending it again does, where the outcome is not known.
 * @property {AbortSignal} signal
 * @property {() => Promise<string | null>} send Does it, and returns what is to be said.
 * @property {() => Promise<void> | void} [onDone] Once the dialog is closed.
 */

/**
 * Asks before something is done to keys. What was filled in stays until it is done or given up.
 *
 * @param {Question} question
 */
export function openDialog(question) {
  const { id, title, lead, fields, keep, isDangerous = true, signal } = question;
  const problem = h("div");
  const submit = h("button", { type: "submit", class: isDangerous ? "danger" : "primary" }, question.submit);
  const dialog = h(
    "dialog",
    { "aria-labelledby": `${id}-title`, onclose: () => dialog.remove() },
    h(
      "form",
      {
        autocomplete: "off",
        onsubmit(event) {
          event.preventDefault();
          void send();
        },
      },
      h("h2", { id: `${id}-title` }, title),
      lead.map((text) => h("p", null, text)),
      fields.map(({ control, label, hint }) => field(control.id, label, control, hint === undefined ? {} : { hint })),
      problem,
      h("div", { class: "actions end" }, h("button", { type: "button", onclick: () => dialog.close() }, keep), submit),
    ),
  );

  async function send() {
    problem.replaceChildren();
    for (const { control } of fields) {
      markField(control, null);
    }
    for (const { control, fault } of fields) {
      const wrong = fault?.() ?? null;
      if (wrong !== null) {
        markField(control, wrong);
        control.focus();
        return;
      }
    }
    submit.disabled = true;
    try {
      const said = await question.send();
      dialog.close();
      if (said !== null) {
        say(said);
      }
      await question.onDone?.();
    } catch (error) {
      if (!signal.aborted) {
        showProblem(asRpcError(error));
      }
    } finally {
      submit.disabled = false;
    }
  }

  /** @param {import("./rpc.js").RpcError} error */
  function showProblem(error) {
    const named = fields.find(({ names }) => names !== undefined && names === error.metadata.field);
    if (named !== undefined) {
      markField(named.control, plainRule(error.message));
      named.control.focus();
      return;
    }
    const title = error.isUnknown ? "The outcome is not known" : question.failed;
    problem.replaceChildren(errorBox(error, { title, advice: error.isUnknown ? question.again : "" }));
  }

  signal.addEventListener("abort", () => dialog.close(), { once: true });
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Why something is done, for the journal.
 *
 * @param {string} id
 * @returns {DialogField}
 */
export function reasonField(id) {
  const control = h("input", { id, maxlength: 256, autocomplete: "off", "aria-describedby": `${id}-hint ${id}-error` });
  return { control, label: "Reason", hint: "For the people who ask later. It may stay empty.", names: "reason" };
}

/**
 * What must be typed to show that the right thing is meant.
 *
 * @param {string} id
 * @param {{ readonly label: string, readonly expected: string, readonly hint: string, readonly wrong: string }} words
 * @returns {DialogField}
 */
export function confirmationField(id, { label, expected, hint, wrong }) {
  const control = h("input", {
    id,
    class: "mono",
    maxlength: 64,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": `${id}-hint ${id}-error`,
  });
  return { control, label, hint, fault: () => (control.value.trim() === expected ? null : wrong) };
}

/**
 * The last 4 characters of a key, typed to show that this key is meant.
 *
 * @param {string} id
 * @param {string} which "the old key".
 * @param {string} hint
 */
export function hintField(id, which, hint) {
  return confirmationField(id, {
    label: `To confirm, type the last 4 characters of ${which}`,
    expected: hint,
    hint: `They are ${hint}.`,
    wrong: `These are not the last 4 characters, ${hint}: upper and lower case count.`,
  });
}
