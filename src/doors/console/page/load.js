import { h } from "./dom.js";
import { errorBox } from "./words.js";

/**
 * What every view gets.
 *
 * @typedef {object} View
 * @property {import("./address.js").Address} address
 * @property {import("./rpc.js").Caller} caller
 * @property {AbortSignal} signal Aborts when the view is left.
 */

/** Tells what could not be loaded that the authority is back. */
export const recovery = new EventTarget();

/**
 * A place that is filled once its content has come; with what is wrong when it does not, and again when the authority
 * is back.
 *
 * @param {View} view
 * @param {string} what Named when it cannot be loaded: "The accounts".
 * @param {(signal: AbortSignal) => Promise<readonly Node[]>} load
 */
export function loaded({ signal }, what, load) {
  const place = h("div", { class: "loaded", "aria-busy": "true" }, h("p", { class: "muted loading" }, "Loading…"));

  async function fill() {
    place.setAttribute("aria-busy", "true");
    try {
      place.replaceChildren(...(await load(signal)));
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      place.replaceChildren(errorBox(error, { title: `${what} could not be loaded`, retry: () => void fill() }));
      recovery.addEventListener("recovered", () => void fill(), { once: true, signal });
    }
    place.removeAttribute("aria-busy");
  }

  void fill();
  return { place, fill };
}

/**
 * The heading of a view, which gets the focus when the view is opened.
 *
 * @param {import("./dom.js").Child} text
 */
export function heading(text) {
  return h("h1", { tabindex: "-1" }, text);
}

/**
 * Links to the pages before and after this one.
 *
 * @param {{ readonly previous?: string | null, readonly next?: string | null, readonly first?: string | null }} hrefs
 */
export function pager({ previous = null, next = null, first = null }) {
  if (previous === null && next === null && first === null) {
    return null;
  }
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages of this list" },
    first !== null && h("a", { class: "button", href: first }, "First page"),
    previous !== null && h("a", { class: "button", href: previous, rel: "prev" }, "Newer"),
    next !== null &&
      h("a", { class: "button", href: next, rel: "next" }, previous === null && first !== null ? "Next page" : "Older"),
  );
}
