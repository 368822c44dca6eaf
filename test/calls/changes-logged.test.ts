import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { CreateRequestSchema, RevokeRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { createTimeSeen } from "../../src/authority/clock.ts";
import { digestKey, keyHint, mintKey, mintTokenId } from "../../src/authority/key.ts";
import type { TokenStore } from "../../src/authority/token-store.ts";
import { readConfig } from "../../src/config.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { startThread, type Thread, threadConfig } from "../../src/thread.ts";
import { formatListenAddress, type ListenAddress } from "../../src/wire/port/listen-address.ts";

function textOf(address: ListenAddress | null): string {
  return address === null ? "" : formatListenAddress(address);
}

/** A serving thread over a real store, whose answers to changes wait until they are let go. */
class SlowStoreRig implements AsyncDisposable {
  readonly #resources = new AsyncDisposableStack();
  readonly logged: { readonly fields: object; readonly message: string }[] = [];
  readonly key = mintKey("secret", false);
  readonly victim = mintTokenId();
  /** The change is committed, and its answer waits. */
  readonly committed = Promise.withResolvers<void>();
  readonly answers = Promise.withResolvers<void>();
  #thread: Thread | null = null;
  #store: (TokenStore & AsyncDisposable) | null = null;

  static async start(): Promise<SlowStoreRig> {
    const rig = new SlowStoreRig();
    const directory = mkdtempSync(join(tmpdir(), "changes-logged-"));
    rig.#resources.defer(() => rmSync(directory, { recursive: true, force: true }));
    const note = (fields: object, message: string) => rig.logged.push({ fields, message });
    const log = { info: note, warn: note, error: note };
    const store = await openSqliteTokenStore(join(directory, "data"), { minFreeBytes: 0, log, onFatal: () => {} });
    rig.#store = rig.#resources.use(store);
    await rig.#seed(store);
    const config = readConfig({
      TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_DATA_DIR: join(directory, "data"),
      TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "1",
    });
    rig.#thread = rig.#resources.use(
      await startThread({
        config: threadConfig(config, { rpc: config.rpc.listen, rest: config.rest?.listen ?? null }, 1),
        console: null,
        source: { store: rig.#slow(store) },
        clock: Date.now,
        timeSeen: createTimeSeen(0),
        sealingSecret: null,
        tls: { rpc: null, rest: null },
        log,
      }),
    );
    return rig;
  }

  /** The key of a bearer, and a token to revoke. */
  async #seed(store: TokenStore): Promise<void> {
    const shared = { account: "acct_1", name: "n", type: "secret", livemode: false, permissions: [] } as const;
    for (const [id, key] of [
      [mintTokenId(), this.key],
      [this.victim, mintKey("secret", false)],
    ] as const) {
      const token = { ...shared, id, digest: digestKey(key), keyHint: keyHint(key), expiresAtMs: null };
      await store.create(token, null, 10, { caller: "local", atMs: Date.now(), bearerKey: null });
    }
  }

  #slow(store: TokenStore): TokenStore {
    const late = async <T>(answer: Promise<T>): Promise<T> => {
      const outcome = await answer;
      this.committed.resolve();
      await this.answers.promise;
      return outcome;
    };
    return {
      ...store,
      create: (...asked) => late(store.create(...asked)),
      revoke: (...asked) => late(store.revoke(...asked)),
    };
  }

  get thread(): Thread {
    if (this.#thread === null) {
      throw new Error("the rig is not started");
    }
    return this.#thread;
  }

  get rpcAddress(): string {
    return textOf(this.thread.addresses.rpc);
  }

  get restAddress(): string {
    return textOf(this.thread.addresses.rest);
  }

  /** The newest row of the journal, as its line must have it. */
  get newestChange(): object {
    const { revision, hash } = this.#store?.head() ?? {};
    return { revision, hash: Buffer.from(hash ?? []).toString("hex") };
  }

  get changes(): readonly object[] {
    return this.logged.filter(({ message }) => message === "changed").map(({ fields }) => fields);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.answers.resolve();
    await this.#resources.disposeAsync();
  }
}

/** Sends a change; returns what ends its connection at once. */
type Door = (rig: SlowStoreRig) => Promise<() => void>;

const service = "/casapay.token.v1.TokenService";

async function overHttp1(address: string, path: string, header: string, body: string): Promise<() => void> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.on("error", () => {});
  await once(socket, "connect");
  const head = `POST ${path} HTTP/1.1\r\nHost: ${address}\r\n${header}\r\nContent-Length: ${body.length}\r\n\r\n`;
  socket.write(head + body);
  return () => socket.destroy();
}

async function overLane<Desc extends DescMessage>(
  rig: SlowStoreRig,
  rpc: string,
  schema: Desc,
  init: MessageInitShape<Desc>,
): Promise<() => void> {
  const session = connectHttp2(`http://${rig.rpcAddress}`);
  session.on("error", () => {});
  const path = `${service}/${rpc}`;
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  stream.on("error", () => {});
  const message = toBinary(schema, create(schema, init));
  stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  return () => session.destroy();
}

const doors: Readonly<Record<string, Door>> = {
  "REST, creating": (rig) => {
    const header = `Authorization: Bearer ${rig.key}\r\nContent-Type: application/json`;
    const body = JSON.stringify({ name: "a key", permissions: ["events:read"] });
    return overHttp1(rig.restAddress, "/v1/tokens", header, body);
  },
  "REST, revoking": (rig) => {
    const header = `Authorization: Bearer ${rig.key}`;
    return overHttp1(rig.restAddress, `/v1/tokens/${rig.victim}/revoke`, header, "");
  },
  "a lane, creating": (rig) =>
    overLane(rig, "Create", CreateRequestSchema, { account: "acct_1", name: "n", type: TokenType.SECRET }),
  "a lane, revoking": (rig) => overLane(rig, "Revoke", RevokeRequestSchema, { id: rig.victim }),
  "Connect, revoking": (rig) => {
    const body = JSON.stringify({ id: rig.victim });
    return overHttp1(rig.rpcAddress, `${service}/Revoke`, "Content-Type: application/json", body);
  },
};

describe.each(Object.entries(doors))("a change through %s", (_name, send) => {
  it("has its log line, with revision and hash, also when its client did not wait", async () => {
    await using rig = await SlowStoreRig.start();
    const leave = await send(rig);
    await rig.committed.promise;
    leave();
    const { thread } = rig;
    // Ends only once the server has seen the connection's end.
    await thread[Symbol.asyncDispose]();
    expect(rig.changes).toEqual([]);
    rig.answers.resolve();
    await new Promise(setImmediate);
    expect(rig.changes).toMatchObject([rig.newestChange]);
  });

  it("has its log line also when the process stops before the answer", async () => {
    await using rig = await SlowStoreRig.start();
    const leave = await send(rig);
    await rig.committed.promise;
    await rig.thread[Symbol.asyncDispose]();
    rig.answers.resolve();
    await new Promise(setImmediate);
    expect(rig.changes).toMatchObject([rig.newestChange]);
    leave();
  });
});
