import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readCallers } from "../../src/calls/port/callers.ts";
import { StartError } from "../../src/machine/start-error.ts";

describe("the callers file", () => {
  const directory = mkdtempSync(join(tmpdir(), "callers-"));
  const file = join(directory, "callers.json");
  afterAll(() => rmSync(directory, { recursive: true }));

  function read(text: string) {
    writeFileSync(file, text);
    return readCallers(file);
  }

  it("gives each identity its role, also after a byte order mark", () => {
    const text = '{"spiffe://casapay/gateway": "gateway", "dashboard.casapay.internal": "dashboard"}';
    const expected = new Map([
      ["spiffe://casapay/gateway", "gateway"],
      ["dashboard.casapay.internal", "dashboard"],
    ]);
    expect(read(text)).toEqual(expected);
    expect(read(`\uFEFF${text}`)).toEqual(expected);
  });

  it.each([
    "Gateway.Example",
    "*.example",
    "gateway.example.",
    "local",
    "https://casapay/gateway",
    "spiffe://casapay",
    "spiffe://CasaPay/gateway",
    "SPIFFE://casapay/gateway",
    "spiffe://casapay/gateway ",
    "CN=gateway",
    "",
  ])("refuses %j, which no certificate can name", (name) => {
    const text = JSON.stringify({ "spiffe://casapay/operator": "operator", [name]: "gateway" });
    expect(() => read(text)).toThrow(StartError);
    expect(() => read(text)).toThrow(`callers.json: no certificate can name ${JSON.stringify(name)}`);
  });
});
