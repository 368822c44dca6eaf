import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connect } from "../src/index.ts";
import { AuthorityProcess, rigFile, tlsSettings } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";

let server: AuthorityProcess;

beforeAll(async () => {
  server = await AuthorityProcess.start(tlsSettings());
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** The client that shows this certificate. */
function as(name: string) {
  const security = { ca: rigFile("ca.pem"), cert: rigFile(`${name}.pem`), key: rigFile(`${name}.key`) };
  return connect(server.address, { security, authenticateTimeoutMs: 10_000 });
}

const token = { account: "acct_1", name: "Till", livemode: true } as const;
const notAllowed = { code: "PERMISSION_DENIED", reason: "ROLE_NOT_ALLOWED", isMistake: true };

it("lets a gateway authenticate, and nothing else", async () => {
  using gateway = as("gateway");
  expect(await gateway.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
  await expect(gateway.list({ account: "acct_1" })).rejects.toMatchObject(notAllowed);
});

it("lets a service create restricted tokens, and not authenticate", async () => {
  using service = as("service");
  const { token: created } = await service.create({ ...token, type: "restricted", permissions: ["charges:read"] });
  expect(created.createdBy).toBe("spiffe://casapay.test/service");
  await expect(service.create({ ...token, type: "secret" })).rejects.toMatchObject({
    code: "PERMISSION_DENIED",
    reason: "TYPE_NOT_GRANTED",
  });
  await expect(service.authenticate(unknownKey)).rejects.toMatchObject({ name: "UndecidedError", ...notAllowed });
});

it("lets a dashboard create secret tokens, and an operator list all accounts' tokens", async () => {
  using dashboard = as("dashboard");
  const { token: created, key } = await dashboard.create({ ...token, type: "secret" });
  using operator = as("operator");
  expect((await operator.list()).tokens.map(({ id }) => id)).toContain(created.id);
  expect(await operator.authenticate(key)).toMatchObject({ kind: "principal", type: "secret" });
});

it("tells a stranger that it is one, which is no refusal of a key", async () => {
  using stranger = as("stranger");
  await expect(stranger.authenticate(unknownKey)).rejects.toMatchObject({
    name: "UndecidedError",
    code: "PERMISSION_DENIED",
    reason: "CALLER_UNKNOWN",
  });
});

it("trusts nobody but the CAs it is given, and no certificate of another name", async () => {
  const own = { cert: readFileSync(rigFile("gateway.pem")), key: readFileSync(rigFile("gateway.key")) };
  // A certificate that signed nothing.
  using other = connect(server.address, {
    security: { ...own, ca: rigFile("stranger.pem") },
    authenticateTimeoutMs: 300,
  });
  await expect(other.authenticate(unknownKey)).rejects.toMatchObject({ name: "UndecidedError", code: "UNAVAILABLE" });
  const ca = readFileSync(rigFile("ca.pem"));
  using misnamed = connect(server.address, {
    security: { ...own, ca, serverName: "other.internal" },
    authenticateTimeoutMs: 300,
  });
  await expect(misnamed.authenticate(unknownKey)).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("other.internal"),
  });
  using named = connect(server.address, { security: { ...own, ca, serverName: "localhost" } });
  expect(await named.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
});

it("says at once that a certificate cannot be read", () => {
  const security = { ca: rigFile("ca.pem"), cert: rigFile("callers.json"), key: rigFile("gateway.key") };
  expect(() => connect(server.address, { security })).toThrow();
  expect(() => connect(server.address, { security: { ...security, cert: rigFile("absent.pem") } })).toThrow("ENOENT");
});
