import { copyButton, h, say } from "./dom.js";
import { modeBadge, wordOf } from "./words.js";

/**
 * Shows the key until the dialog is closed or left, this once. It is nowhere but here: not in the address, not in what
 * the browser keeps.
 *
 * @param {import("./rpc.js").Token} token
 * @param {string} key Empty where it is not shown again.
 * @param {{ readonly said: string, readonly gone: string, readonly signal: AbortSignal, readonly onDone: () => void }} more
 *   What is said when the dialog opens, and its title where there is no key to show.
 */
export function showKeyOnce(token, key, { said, gone, signal, onDone }) {
  let wasCopied = false;
  const shown = h("output", { id: "new-key", class: "key mono", tabindex: "0", "aria-label": "The new key" }, key);
  const warning = h("p", { class: "field-error", role: "alert" });
  const dialog = h(
    "dialog",
    { "aria-labelledby": "key-title", closedby: "none", class: "key-dialog", onclose: forget },
    h("h2", { id: "key-title", tabindex: "-1", autofocus: true }, key === "" ? gone : `The key of “${token.name}”`),
    h(
      "p",
      null,
      modeBadge(token),
      " ",
      h("span", { class: "badge" }, wordOf(token.type)),
      " of account ",
      h("span", { class: "mono" }, token.account),
    ),
    h(
      "p",
      null,
      key === ""
        ? "Its key is not shown again."
        : "This is the only time that it is shown. Copy it now to where it is needed.",
    ),
    key !== "" && shown,
    warning,
    h(
      "div",
      { class: "actions end" },
      key !== "" &&
        copyButton(
          () => shown.textContent ?? "",
          "the key",
          () => {
            wasCopied = true;
            warning.textContent = "";
          },
        ),
      h("button", { type: "button", class: "primary", onclick: leave }, "Done"),
    ),
  );

  function leave() {
    if (key !== "" && !wasCopied && warning.textContent === "") {
      warning.textContent =
        "The key was not copied with the button. Press Done again if you have it: it cannot be shown again.";
      return;
    }
    dialog.close();
    onDone();
  }

  function forget() {
    shown.textContent = "";
    dialog.remove();
    signal.removeEventListener("abort", close);
    removeEventListener("pagehide", close);
  }

  function close() {
    dialog.close();
    forget();
  }

  signal.addEventListener("abort", close);
  // The browser may keep a page that was left, to come back to it.
  addEventListener("pagehide", close);
  document.body.append(dialog);
  dialog.showModal();
  say(said);
}
