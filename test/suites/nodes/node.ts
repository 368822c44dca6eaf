import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../../src/authority/key.ts";
import { askAuthority } from "../freshness/edge-process.ts";
import type { FakeClock } from "../freshness/fake-clock.ts";
import type { Answer, Holder } from "../freshness/gateway-process.ts";
import type { Link } from "../freshness/link.ts";
import { freePort } from "../support/ports.ts";
import { type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { createTokenClient, type TokenClient } from "../support/token-client.ts";

const threads = 2;
const maxWaitMs = 30_000;

export type NodeOptions = {
  readonly name: string;
  /** Where the authority's source lies. */
  readonly root: string;
  readonly dataDirectory: string;
  readonly sealingSecret: string;
  /** The setting, which leads through the links. */
  readonly database: string;
  /** One to each of the database's hosts, in the order of the setting. */
  readonly links: readonly Link[];
  readonly clock: FakeClock;
  /** Where its log goes, of all its lives. */
  readonly logFile: string;
  readonly onLine: (line: string) => void;
};

/** An authority of two threads on the shared database. Its port stays the same through all its lives. */
export class Node {
  readonly name: string;
  readonly links: readonly Link[];
  readonly clock: FakeClock;
  /** A connection is of one thread: two of them are likely to ask both. */
  readonly holders: readonly Holder[] = [this.#holder(0), this.#holder(1)];
  readonly #options: NodeOptions;
  readonly #port: number;
  #server: ServerProcess | null = null;
  #clients: readonly TokenClient[] = [];
  #lives = 0;
  #hasStopped = false;

  private constructor(options: NodeOptions, port: number) {
    this.#options = options;
    this.#port = port;
    this.name = options.name;
    this.links = options.links;
    this.clock = options.clock;
  }

  static async start(options: NodeOptions): Promise<Node> {
    const node = new Node(options, await freePort());
    await node.restart();
    return node;
  }

  address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  logFile(): string {
    return this.#options.logFile;
  }

  /** Whether it has found a journal that lacks what it had applied. */
  hasStopped(): boolean {
    return this.#hasStopped;
  }

  /** Null while it is not running. */
  client(): TokenClient | null {
    return this.#clients[0] ?? null;
  }

  pid(): number | null {
    return this.#server?.pid ?? null;
  }

  /** What made it stop is recovered from. */
  recovered(): void {
    this.#hasStopped = false;
  }

  isRunning(): boolean {
    return this.#server?.isRunning() ?? false;
  }

  async restart(): Promise<void> {
    await this.kill();
    const { root, dataDirectory, sealingSecret, database, name, clock } = this.#options;
    this.#lives += 1;
    this.#hasStopped = false;
    const server = await startServerProcess({
      root,
      dataDirectory,
      sealingSecret,
      settings: {
        LISTEN: this.address(),
        THREADS: String(threads),
        CLOCK_BACK: "allow",
        DATABASE: database,
        // A node that ends serves on for a fifth of it.
        SHUTDOWN_GRACE_MS: "2500",
        NODE_NAME: `${name}.${this.#lives}`,
      },
      variables: clock.environment(),
      onLine: (line) => this.#take(line),
    });
    this.#server = server;
    this.#clients = this.holders.map(() => createTokenClient(server.address));
  }

  async stopFor(ms: number): Promise<void> {
    const pid = this.pid();
    if (pid !== null) {
      process.kill(pid, "SIGSTOP");
      await sleep(ms);
      process.kill(pid, "SIGCONT");
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#server?.kill();
    this.#forget();
  }

  /** In good order. */
  async end(): Promise<void> {
    await this.#server?.stop();
    this.#forget();
  }

  /** Resolves once it answers by the database again, at whichever thread. */
  async serves(): Promise<void> {
    const deadlineMs = performance.now() + maxWaitMs;
    for (;;) {
      try {
        await Promise.all(
          this.#clients.map((client) => client.call(TokenService.method.list, { account: `acct_${randomUUID()}` })),
        );
        const answers = await Promise.all(this.#clients.map((client) => askAuthority(client, mintKey("secret", true))));
        if (answers.every(({ verdict }) => verdict === "unknown")) {
          return;
        }
      } catch {
        // Not yet.
      }
      if (performance.now() > deadlineMs) {
        throw new Error(`${this.name} does not serve again:\n${this.#server?.output()}`);
      }
      await sleep(20);
    }
  }

  #take(line: string): void {
    appendFileSync(this.#options.logFile, `${line}\n`);
    this.#hasStopped ||= line.includes('"reason":"JOURNAL_WENT_BACK"');
    this.#options.onLine(line);
  }

  #forget(): void {
    for (const client of this.#clients) {
      client[Symbol.dispose]();
    }
    this.#clients = [];
    this.#server = null;
  }

  #holder(place: number): Holder {
    return {
      holder: () => `${this.name}.${this.#lives}.${place}`,
      ask: async (key): Promise<Answer | null> => {
        const client = this.#clients[place];
        return client === undefined ? null : askAuthority(client, key);
      },
    };
  }
}
