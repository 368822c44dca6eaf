import { readdirSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect } from "node:http2";
import { join } from "node:path";
import { inspect } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../src/authority/key.ts";
import { TestServer } from "./support/test-server.ts";

type Answer = { readonly status: number; readonly text: string };

/** One HTTP/1.1 exchange, answer headers included. */
function askHttp1(address: string, path: string, headers: Record<string, string>, body: string): Promise<Answer> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, path, method: "POST", headers }, (response) => {
      const chunks = [JSON.stringify(response.rawHeaders)];
      response.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: chunks.join("\n") }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** One HTTP/2 exchange, answer headers and trailers included. */
function askHttp2(address: string, path: string, headers: Record<string, string>, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}`);
    session.on("error", reject);
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    const chunks: string[] = [];
    let status = 0;
    stream.on("response", (received) => {
      status = Number(received[":status"]);
      chunks.push(JSON.stringify(received));
    });
    stream.on("trailers", (received) => chunks.push(JSON.stringify(received)));
    stream.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => session.close(() => resolve({ status, text: chunks.join("\n") })));
    stream.end(body);
  });
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

it("lets no key out of a request into an answer, a log, a metric or a file, whatever place it was put in", async () => {
  await using authority = await TestServer.start();
  const { address, adminAddress } = authority.server;
  // The secret part alone: whatever quotes a part of a key is caught as well.
  const canaries: string[] = [];
  const canary = () => {
    const key = mintKey("secret", true);
    canaries.push(key.slice(8, 40));
    return key;
  };
  const answers: string[] = [];
  const service = `/${TokenService.typeName}`;

  const fields = {
    Create: ["account", "name", "type", "livemode", "permissions", "expireTime", "requestId"],
    Get: ["id"],
    List: [
      "pageSize",
      "pageToken",
      "account",
      "types",
      "livemode",
      "states",
      "permission",
      "createdFrom",
      "unusedSince",
      "nameContains",
      "keyHint",
      "createdBy",
    ],
    Revoke: ["id", "reason"],
    FindByDigest: ["digest"],
    ListChanges: ["pageSize", "pageToken", "tokenId", "caller", "action", "account", "changedFrom"],
    ListAccounts: ["pageSize", "pageToken", "prefix"],
    Authenticate: ["key", "requiredPermissions", "livemode", "allowedTypes"],
  };
  const json = { "content-type": "application/json" };
  for (const [rpc, names] of Object.entries(fields)) {
    for (const ask of [askHttp1, askHttp2]) {
      for (const name of [...names, canary()]) {
        for (const value of [canary(), [canary()], { [canary()]: canary() }]) {
          const body = JSON.stringify({ account: "acct_1", name: "n", type: "TOKEN_TYPE_SECRET", [name]: value });
          const onlyField = JSON.stringify({ [name]: value });
          answers.push((await ask(address, `${service}/${rpc}`, json, body)).text);
          answers.push((await ask(address, `${service}/${rpc}`, json, onlyField)).text);
        }
      }
      answers.push((await ask(address, `${service}/${rpc}`, json, canary())).text);
      for (const header of [
        "content-type",
        "content-encoding",
        "connect-timeout-ms",
        "connect-protocol-version",
        "x-any",
      ]) {
        answers.push((await ask(address, `${service}/${rpc}`, { ...json, [header]: canary() }, "{}")).text);
      }
      for (const header of ["grpc-encoding", "grpc-timeout", "grpc-accept-encoding", "authorization", "te", "x-bin"]) {
        const grpc = { "content-type": "application/grpc", [header]: header === "te" ? "trailers" : canary() };
        answers.push((await ask(address, `${service}/${rpc}`, grpc, "\0\0\0\0\0")).text);
      }
      answers.push((await ask(address, `${service}/${rpc}/${canary()}?key=${canary()}`, json, "{}")).text);
      answers.push((await ask(address, `/${canary()}/${canary()}`, json, "{}")).text);
    }
    answers.push((await askHttp1(address, `${service}/${rpc}`, { ...json, host: canary() }, "{}")).text);
  }

  const transports = [createGrpcTransport, createGrpcWebTransport, createConnectTransport];
  for (const createTransport of transports) {
    const tokens = createClient(TokenService, createTransport({ httpVersion: "2", baseUrl: `http://${address}` }));
    const headers = () => ({ "x-request-id": canary(), authorization: `Bearer ${canary()}` });
    const calls = [
      () => tokens.create({ account: canary(), name: "n", type: TokenType.SECRET }, { headers: headers() }),
      () => tokens.create({ account: "acct_1", name: `my ${canary()}`, type: TokenType.SECRET }),
      () => tokens.create({ account: "acct_1", name: "n", type: TokenType.RESTRICTED, permissions: [canary()] }),
      () => tokens.create({ account: "acct_1", name: "n", type: TokenType.SECRET, requestId: canary() }),
      () => tokens.get({ id: canary() }, { headers: headers() }),
      () => tokens.list({ pageToken: canary() }, { headers: headers() }),
      () => tokens.list({ account: canary() }),
      () => tokens.list({ permission: canary() }),
      () => tokens.list({ nameContains: canary(), keyHint: canary() }),
      () => tokens.findByDigest({ digest: Buffer.from(canary()) }),
      () => tokens.list({ createdBy: canary() }),
      () => tokens.listChanges({ tokenId: canary(), pageToken: canary() }),
      () => tokens.listChanges({ caller: canary() }),
      () => tokens.listChanges({ account: canary() }),
      () => tokens.listAccounts({ prefix: canary(), pageToken: canary() }),
      () => tokens.revoke({ id: canary(), reason: canary() }, { headers: headers() }),
      () => tokens.rotateKey({ id: canary(), requestId: canary() }, { headers: headers() }),
      () => tokens.rotateKey({ id: `tok_${"0".repeat(24)}`, overlap: { seconds: 60n }, requestId: canary() }),
      () => tokens.endRotation({ id: canary(), what: { case: "cancel", value: true } }, { headers: headers() }),
      () => tokens.revokeTokens({ filter: { account: canary() }, reason: canary() }, { headers: headers() }),
      () => tokens.revokeTokens({ filter: { nameContains: canary() } }),
      () => tokens.revokeTokens({ filter: { keyHint: canary(), createdBy: canary() }, force: true }),
      () => tokens.revokeTokens({ filter: { account: "none" }, force: true, upToRevision: 1n, reason: canary() }),
      () => tokens.authenticate({ key: canary() }, { headers: headers() }),
      () => tokens.authenticate({ key: "", requiredPermissions: [canary()] }),
    ];
    for (const call of calls) {
      answers.push(
        await call().then(
          (response) => inspect(response, { depth: null }),
          (error) => inspect(error, { depth: null, showHidden: true }),
        ),
      );
    }
    const { id } = await authority.issue();
    const revoking = tokens.revoke({ id, reason: `found ${canary()}` });
    answers.push(await revoking.then(() => expect.unreachable("a reason that holds a key"), inspect));
  }

  const issued = await authority.issue();
  const restricted = await authority.issue({ type: TokenType.RESTRICTED, permissions: ["a:read"] });
  for (const key of [issued.key, restricted.key]) {
    canaries.push(key.slice(8, 40));
    answers.push(
      inspect(await authority.tokens.authenticate({ key, requiredPermissions: ["b:read"] }), { depth: null }),
    );
  }
  answers.push(inspect(await authority.tokens.list({}), { depth: null }));
  const metrics = await (await fetch(`http://${adminAddress}/metrics`)).text();

  const places = new Map<string, string>([
    ["answers", answers.join("\n")],
    ["logs", inspect(authority.logged, { depth: null, maxArrayLength: null, maxStringLength: null })],
    ["metrics", metrics],
    ...filesBelow(authority.directory).map((file) => [file, readFileSync(file, "latin1")] as const),
  ]);
  expect(answers.length).toBeGreaterThan(400);
  expect([...places.keys()].some((place) => place.endsWith("-wal"))).toBe(true);
  const leaks = [...places].flatMap(([place, text]) => (canaries.some((part) => text.includes(part)) ? [place] : []));
  expect(leaks).toEqual([]);
});
