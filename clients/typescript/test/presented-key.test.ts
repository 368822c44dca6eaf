import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { presentedKey } from "../src/presented-key.ts";

type Vector = {
  readonly name: string;
  readonly authorization: readonly string[];
  readonly x_api_key: readonly string[];
  readonly presents: string | { readonly conflict: true } | null;
};

const file = resolve(import.meta.dirname, "../../vectors/credentials.json");
const vectors: readonly Vector[] = JSON.parse(readFileSync(file, "utf8")).vectors;

it.each(vectors)("the key that a request presents, as at the authority: $name", (vector) => {
  const { authorization, x_api_key, presents } = vector;
  const found = presentedKey(joined(authorization), joined(x_api_key));
  expect(typeof found === "string" ? found : found.key).toEqual(
    typeof presents === "string" ? presents : presents === null ? "key_missing" : "keys_conflict",
  );
});

function joined(values: readonly string[]): string | null {
  return values.length === 0 ? null : values.join(",");
}
