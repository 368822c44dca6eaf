import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/ports.ts";
import type { Random } from "../support/random.ts";
import { type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { createTokenClient, type TokenClient } from "../support/token-client.ts";
import type { FakeClock } from "./fake-clock.ts";
import type { Gateway, GatewayProgram } from "./gateway-process.ts";
import type { Stage } from "./round.ts";
import { newClock, type ProcessOptions, startGateway } from "./start-gateway.ts";

type RigOptions = ProcessOptions & {
  /** Where the authority's source lies. */
  readonly root: string;
  readonly gateways: readonly GatewayProgram[];
};

const threadCounts = [1, 3] as const;

/** An authority, and gateways that reach it through links of their own. */
export class Rig implements Stage, AsyncDisposable {
  readonly gateways: Gateway[] = [];
  readonly holders: readonly Gateway[] = this.gateways;
  readonly #options: RigOptions;
  readonly #random: Random;
  readonly #port: number;
  readonly #sealingSecret: string;
  #server: ServerProcess | null = null;
  #client: TokenClient | null = null;
  #clock: FakeClock | null = null;

  private constructor(options: RigOptions, random: Random, port: number) {
    this.#options = options;
    this.#random = random;
    this.#port = port;
    this.#sealingSecret = join(options.scratch, "sealing-secret");
    writeFileSync(this.#sealingSecret, randomBytes(32), { mode: 0o600 });
  }

  static async start(options: RigOptions, random: Random): Promise<Rig> {
    const rig = new Rig(options, random, await freePort());
    await rig.startAuthority();
    for (const [index, program] of options.gateways.entries()) {
      const name = `${program.language}-${index + 1}`;
      rig.gateways.push(await startGateway(program, name, rig.address(), options));
    }
    return rig;
  }

  client(): TokenClient | null {
    return this.#client;
  }

  /** HOST:PORT of the authority, without a link. */
  address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  clock(): FakeClock | null {
    return this.#clock;
  }

  /** One thread or three: the next life may have another number than the one before. */
  async startAuthority(): Promise<void> {
    this.#clock ??= newClock("authority", this.#options);
    const server = await startServerProcess({
      root: this.#options.root,
      dataDirectory: join(this.#options.scratch, "data"),
      sealingSecret: this.#sealingSecret,
      settings: {
        LISTEN: this.address(),
        CLOCK_BACK: "allow",
        THREADS: String(this.#random.pick(threadCounts)),
      },
      variables: this.#clock.environment(),
    });
    this.#server = server;
    this.#client = createTokenClient(server.address);
  }

  async killAuthority(): Promise<void> {
    await this.#server?.kill();
    this.#forgetAuthority();
  }

  /** In good order. */
  async stopAuthority(): Promise<void> {
    await this.#server?.stop();
    this.#forgetAuthority();
  }

  async freezeAuthorityFor(ms: number): Promise<void> {
    const pid = this.#server?.pid;
    if (pid !== undefined) {
      process.kill(pid, "SIGSTOP");
      await sleep(ms);
      process.kill(pid, "SIGCONT");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const gateway of this.gateways) {
      await gateway.kill();
      await gateway.link.kill();
    }
    await this.killAuthority();
  }

  #forgetAuthority(): void {
    this.#client?.[Symbol.dispose]();
    this.#client = null;
    this.#server = null;
  }
}
