import { expect, it } from "vitest";
import { presentedKey } from "../../src/calls/presented-key.ts";
import { credentialVectors } from "./credential-vectors.ts";

it.each(credentialVectors)("the key that a request presents: $name", ({ authorization, x_api_key, presents }) => {
  const found = presentedKey(joined(authorization), joined(x_api_key));
  expect(typeof found === "string" ? found : found.code).toEqual(
    typeof presents === "string" ? presents : presents === null ? "key_missing" : "keys_conflict",
  );
});

function joined(values: readonly string[]): string | null {
  return values.length === 0 ? null : values.join(",");
}
