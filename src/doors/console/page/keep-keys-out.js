import { say } from "./dom.js";
import { holdsKey } from "./keys.js";

/** Takes a key out of every field that is not made for keys, before it is sent or gets into an address. */
export function keepKeysOut() {
  document.addEventListener(
    "input",
    ({ target }) => {
      const isField = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
      if (isField && !target.hasAttribute("data-takes-keys") && holdsKey(target.value)) {
        target.value = "";
        say(
          "A key was put into this field and taken out again. To find its token, paste it under “Token id, leaked key, account or name”.",
        );
      }
    },
    { capture: true },
  );
}
