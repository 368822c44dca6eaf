import { h } from "./dom.js";
import { figuresCard } from "./figures-card.js";
import { headCard } from "./journal-view.js";
import { heading } from "./load.js";
import { lookupForm } from "./lookup.js";

/**
 * How it goes, and the way to one token.
 *
 * @param {import("./load.js").View} view
 */
export function overview(view) {
  return [
    heading("Overview"),
    lookupForm(),
    ...figuresCard(view),
    view.caller.role === "operator" ? headCard(view) : h("span"),
  ];
}
