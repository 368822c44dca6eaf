import { byId, h, say } from "./dom.js";
import { recovery } from "./load.js";
import { get, reachability } from "./rpc.js";

const firstWaitMs = 1000;
const maxWaitMs = 10_000;

/**
 * Says when the authority does not answer, asks again until it does, and tells the views. What is filled in stays as it
 * is.
 */
export function watchReachability() {
  const place = byId("outage");
  let isDown = false;
  let waitMs = firstWaitMs;
  let timer = 0;

  reachability.addEventListener("lost", () => {
    if (!isDown) {
      isDown = true;
      waitMs = firstWaitMs;
      place.replaceChildren(
        h(
          "div",
          { class: "banner" },
          h(
            "p",
            null,
            h("strong", null, "The authority does not answer."),
            " What you filled in is kept. This page asks again by itself.",
          ),
          h("button", { type: "button", onclick: () => void ask() }, "Ask now"),
        ),
      );
      later();
    }
  });
  reachability.addEventListener("answered", () => {
    if (isDown) {
      isDown = false;
      clearTimeout(timer);
      place.replaceChildren();
      say("The authority answers again.");
      recovery.dispatchEvent(new Event("recovered"));
    }
  });

  function later() {
    timer = setTimeout(() => void ask(), waitMs);
    waitMs = Math.min(maxWaitMs, waitMs * 2);
  }

  async function ask() {
    clearTimeout(timer);
    try {
      await get("/caller");
    } catch {
      if (isDown) {
        later();
      }
    }
  }
}
