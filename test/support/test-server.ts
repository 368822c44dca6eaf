import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { type Server, startServer } from "../../src/server.ts";

/** The whole authority on a port of its own, in a directory of its own, with a clock moved by hand. */
export class TestServer implements AsyncDisposable {
  readonly directory: string;
  /** Starts at the real time, which certificates are valid at. */
  readonly clock = { nowMs: Date.now() };
  /** Every log line, as fields and message. */
  readonly logged: { readonly level: string; readonly fields: object; readonly message: string }[] = [];
  readonly failures: unknown[] = [];
  readonly #resources = new AsyncDisposableStack();
  #server: Server | null = null;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "token-authority-test-"));
    this.#resources.defer(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  static async start(environment: Readonly<Record<string, string>> = {}): Promise<TestServer> {
    const server = new TestServer();
    await server.start(environment);
    return server;
  }

  /** Starts it, or starts it again on the same data. */
  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    const report = (level: string) => (fields: object, message: string) => {
      this.logged.push({ level, fields, message });
    };
    this.#server = await startServer(this.config(environment), {
      clock: () => this.clock.nowMs,
      pid: process.pid,
      logLinesDropped: () => 0,
      makeAnew: [],
      log: { info: report("info"), warn: report("warn"), error: report("error") },
      onFatal: (error) => this.failures.push(error),
    });
  }

  config(environment: Readonly<Record<string, string>> = {}): Config {
    return readConfig({
      TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_DATA_DIR: join(this.directory, "data"),
      TOKEN_AUTHORITY_MIN_FREE_MIB: "1",
      ...environment,
    });
  }

  get server(): Server {
    if (this.#server === null) {
      throw new Error("the server is not started");
    }
    return this.#server;
  }

  /** Ends it in good order; its data stay. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    await server?.[Symbol.asyncDispose]();
  }

  /** A client over plaintext gRPC. */
  get tokens(): Client<typeof TokenService> {
    return createClient(TokenService, createGrpcTransport({ baseUrl: `http://${this.server.address}` }));
  }

  /** Creates a secret key, or what is said. */
  async issue(request: Partial<Parameters<Client<typeof TokenService>["create"]>[0]> = {}) {
    const response = await this.tokens.create({
      account: "acct_1",
      name: "a key",
      type: TokenType.SECRET,
      ...request,
    } as Parameters<Client<typeof TokenService>["create"]>[0]);
    return { key: response.key, id: response.token?.id ?? "", token: response.token, revision: response.revision };
  }

  /** `principal`, or the reason of the refusal. */
  async verdictOf(key: string, request: Partial<Parameters<Client<typeof TokenService>["authenticate"]>[0]> = {}) {
    const { outcome } = await this.tokens.authenticate({ key, ...request } as Parameters<
      Client<typeof TokenService>["authenticate"]
    >[0]);
    return outcome.case === "refusal" ? nameOf(outcome.value.reason) : String(outcome.case);
  }

  inSeconds(seconds: number) {
    return timestampFromMs(this.clock.nowMs + seconds * 1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#resources.disposeAsync();
  }
}

function nameOf(reason: RefusalReason): string {
  return Object.entries(RefusalReason).find(([, value]) => value === reason)?.[0] ?? "unknown";
}
