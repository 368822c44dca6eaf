import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type FakeClock, realClock } from "./fake-clock.ts";
import type { Link } from "./link.ts";
import { type Command, ManagedProcess } from "./managed-process.ts";

export type Verdict = "accept" | "refuse" | "unknown" | "undecided";
export type Answer = { readonly verdict: Verdict; readonly source: "authority" | "cache" };

/** How the program of a gateway is started. Its own arguments come first. */
export type GatewayProgram = Command & { readonly language: string };

export type GatewayOptions = {
  readonly program: GatewayProgram;
  readonly name: string;
  readonly link: Link;
  readonly directory: string;
  readonly cacheMib: number;
  readonly clock: FakeClock | null;
};

/** A process that decides on keys. */
export type Holder = {
  /** One life of the process: the next one has forgotten everything. */
  holder(): string;
  /** Null where no answer came: the process was killed. */
  ask(key: string): Promise<Answer | null>;
};

/** A holder behind a link that may fail. */
export type Gateway = Holder & {
  readonly link: Link;
  /** Null where its clock cannot jump. */
  readonly clock: FakeClock | null;
  stopFor(ms: number): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  restart(): Promise<void>;
};

/** A gateway with a client in it, which the driver asks over a unix socket. */
export class GatewayProcess implements Gateway {
  readonly link: Link;
  readonly clock: FakeClock | null;
  readonly #options: GatewayOptions;
  readonly #waiting = new Map<string, (answer: Answer | null) => void>();
  #process: ManagedProcess | null = null;
  #socket: Socket | null = null;
  #lives = 0;
  #asked = 0;

  private constructor(options: GatewayOptions) {
    this.#options = options;
    this.link = options.link;
    this.clock = options.clock;
  }

  static async start(options: GatewayOptions): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(options);
    await gateway.restart();
    return gateway;
  }

  holder(): string {
    return `${this.#options.name}-${this.#lives}`;
  }

  ask(key: string): Promise<Answer | null> {
    const socket = this.#socket;
    if (socket === null) {
      return Promise.resolve(null);
    }
    this.#asked += 1;
    const id = String(this.#asked);
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      socket.write(`${id} ${key}\n`);
    });
  }

  async stopFor(ms: number): Promise<void> {
    await this.#process?.stopFor(ms);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#socket?.destroy();
    this.#forget();
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#lives += 1;
    const { program, name, link, directory, cacheMib } = this.#options;
    const path = join(directory, `${name}-${this.#lives}.sock`);
    const args = [...program.args, path, link.address(), String(cacheMib)];
    const env = { ...program.env, ...(this.clock?.environment() ?? realClock) };
    this.#process = await ManagedProcess.start({ ...program, args, env }, /^ready$/);
    const socket = connect(path);
    await once(socket, "connect");
    // A killed process resets it.
    socket.on("error", () => undefined).on("close", () => this.#socket === socket && this.#forget());
    createInterface({ input: socket })
      .on("line", (line) => this.#take(line))
      .on("error", () => undefined);
    this.#socket = socket;
  }

  #forget(): void {
    this.#socket = null;
    for (const resolve of this.#waiting.values()) {
      resolve(null);
    }
    this.#waiting.clear();
  }

  #take(line: string): void {
    const [id = "", verdict, source] = line.split(" ");
    this.#waiting.get(id)?.({ verdict: verdict as Verdict, source: source as Answer["source"] });
    this.#waiting.delete(id);
  }
}
