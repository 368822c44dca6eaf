import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { createTimeSeen } from "../../src/authority/clock.ts";
import { mintKey, mintTokenId } from "../../src/authority/key.ts";
import type { TokenStore } from "../../src/authority/token-store.ts";
import { readConfig } from "../../src/config.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { startThread, threadConfig } from "../../src/thread.ts";
import { formatListenAddress, type ListenAddress } from "../../src/wire/port/listen-address.ts";

function originOf(address: ListenAddress | null): string {
  return `http://${address === null ? "" : formatListenAddress(address)}`;
}

function broken(): never {
  throw new Error("a bug");
}

it("writes ten lines a second of faults, whichever doors of a thread they come through", async () => {
  await using resources = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "fault-lines-"));
  resources.defer(() => rmSync(directory, { recursive: true, force: true }));
  const faults: object[] = [];
  const note = (fields: object, message: string) => {
    if (message.startsWith("a call failed")) {
      faults.push(fields);
    }
  };
  const log = { info: note, warn: note, error: note };
  const options = { minFreeBytes: 0, log, onFatal() {} };
  const store = resources.use(await openSqliteTokenStore(join(directory, "data"), options));
  const faulty: TokenStore = { ...store, findByDigest: broken, get: broken, list: broken, listAccounts: broken };
  const config = readConfig({ TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0", TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0" });
  const thread = resources.use(
    await startThread({
      config: threadConfig(config, { rpc: config.rpc.listen, rest: config.rest?.listen ?? null }, 1),
      ...{ tls: { rpc: null, rest: null }, console: null, sealingSecret: null },
      ...{ source: { store: faulty }, clock: Date.now, timeSeen: createTimeSeen(0), log },
    }),
  );
  const [rpc, rest] = [originOf(thread.addresses.rpc), originOf(thread.addresses.rest)];
  const key = mintKey("secret", false);
  const grpc = createClient(TokenService, createGrpcTransport({ baseUrl: rpc }));
  const json = createClient(TokenService, createConnectTransport({ baseUrl: rpc, httpVersion: "1.1" }));
  const bearer = { headers: { authorization: `Bearer ${key}` } };
  const doors: (() => Promise<unknown>)[] = [
    () => grpc.authenticate({ key }),
    () => grpc.get({ id: mintTokenId() }),
    () => grpc.list({}),
    () => json.get({ id: mintTokenId() }),
    () => json.listAccounts({}),
    () => fetch(`${rpc}/authorize?permission=none`, bearer),
    () => fetch(`${rest}/v1/tokens`, bearer),
  ];

  const startedAtMs = performance.now();
  for (const door of doors) {
    const before = faults.length;
    await door().catch(() => {});
    expect(faults.length).toBe(before + 1);
  }
  await Promise.allSettled(Array.from({ length: 20 }, () => doors.map((door) => door())).flat());
  const seconds = Math.floor((performance.now() - startedAtMs) / 1000) + 1;
  expect(faults.length).toBeLessThanOrEqual(10 * seconds);
  expect(faults.length).toBeGreaterThanOrEqual(10);
});
