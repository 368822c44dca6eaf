/** @typedef {Node | string | number | null | undefined | false | readonly Child[]} Child */
/** @typedef {Readonly<Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>>} Props */

/**
 * Makes an element. A function is a listener of the event that its name says (`onclick`), true an attribute without a
 * value; null, undefined and false are none. Texts stay texts: nothing here is ever read as HTML.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, String(value));
    }
  }
  append(element, children);
  return element;
}

/**
 * @param {Element} parent
 * @param {readonly Child[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (child instanceof Node || typeof child === "string") {
      parent.append(child);
    } else if (typeof child === "number") {
      parent.append(String(child));
    } else if (child !== null && child !== undefined && child !== false) {
      append(parent, child);
    }
  }
}

/**
 * The element with this id, which index.html has.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) {
    throw new Error(`index.html has no #${id}`);
  }
  return element;
}

let sayingTimer = 0;

/**
 * Says something that has happened, to eyes and to screen readers alike.
 *
 * @param {string} text
 */
export function say(text) {
  const said = byId("said");
  said.textContent = text;
  clearTimeout(sayingTimer);
  // What has more words stays for longer.
  const readMs = Math.max(6000, text.length * 80);
  sayingTimer = setTimeout(() => {
    said.textContent = "";
  }, readMs);
}

/**
 * Tells screen readers what eyes see by themselves.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announced").textContent = text;
}

/**
 * A button that copies a text.
 *
 * @param {() => string} text
 * @param {string} what Names what is copied: "Copy the id".
 * @param {() => void} [onCopied]
 */
export function copyButton(text, what, onCopied = () => {}) {
  return h(
    "button",
    {
      type: "button",
      class: "copy",
      "aria-label": `Copy ${what}`,
      async onclick() {
        try {
          await navigator.clipboard.writeText(text());
          say(`Copied ${what}.`);
          onCopied();
        } catch {
          say(`The browser did not let ${what} be copied: select it and copy it by hand.`);
        }
      },
    },
    "Copy",
  );
}

/**
 * @param {string} id
 * @param {string} label
 * @param {Child} control
 * @param {{ readonly hint?: string, readonly error?: string | null }} [more]
 */
export function field(id, label, control, { hint, error } = {}) {
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    control,
    hint !== undefined && h("p", { class: "hint", id: `${id}-hint` }, hint),
    h("p", { class: "field-error", id: `${id}-error` }, error ?? ""),
  );
}

/**
 * Shows what is wrong with a field, beside it and to screen readers, or takes that away.
 *
 * @param {HTMLElement} control
 * @param {string | null} error
 */
export function markField(control, error) {
  const place = document.getElementById(`${control.id}-error`);
  if (place !== null) {
    place.textContent = error ?? "";
  }
  control.toggleAttribute("aria-invalid", false);
  if (error !== null) {
    control.setAttribute("aria-invalid", "true");
  }
}
