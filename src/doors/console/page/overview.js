import { h } from "./dom.js";
import { figuresCards } from "./figures-cards.js";
import { headCard } from "./journal-view.js";
import { heading } from "./load.js";
import { lookupForm } from "./lookup.js";
import { callerNotice } from "./words.js";

/**
 * How it goes, and the way to one token.
 *
 * @param {import("./load.js").View} view
 */
export function overview(view) {
  const notice = callerNotice(view.caller);
  if (notice !== null) {
    return [heading("Overview"), notice];
  }
  const { lastHour, state } = figuresCards(view);
  return [
    heading("Overview"),
    lookupForm(view.caller),
    lastHour,
    ...(state === null ? [] : [h("div", { class: "columns" }, state, headCard(view))]),
  ];
}
