import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../support/ports.ts";
import type { Random } from "../support/random.ts";
import { type ServerProcess, startServerProcess } from "../support/server-process.ts";
import { createTokenClient, type TokenClient } from "../support/token-client.ts";
import { EdgeProcess } from "./edge-process.ts";
import { FakeClock } from "./fake-clock.ts";
import { type Gateway, GatewayProcess, type GatewayProgram } from "./gateway-process.ts";
import { Link } from "./link.ts";

export type RigOptions = {
  readonly scratch: string;
  /** Where the authority's source lies. */
  readonly root: string;
  readonly gateways: readonly GatewayProgram[];
  readonly cacheMib: number;
  readonly toxiproxy: string;
  readonly fakeClockLibrary: string;
};

const threadCounts = [1, 3] as const;

/** An authority, and gateways that reach it through links of their own. */
export class Rig implements AsyncDisposable {
  readonly gateways: Gateway[] = [];
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
      const link = await Link.start(options.toxiproxy, `127.0.0.1:${rig.#port}`);
      const name = `${program.language}-${index + 1}`;
      const { scratch: directory, cacheMib } = options;
      // Go reads its clocks without the library that is faked, and Python cannot sleep with it: clock_nanosleep fails.
      const clock = ["go", "python"].includes(program.language) ? null : rig.#newClock(name);
      const { start } = program.language === "edge" ? EdgeProcess : GatewayProcess;
      rig.gateways.push(await start({ program, name, link, directory, cacheMib, clock }));
    }
    return rig;
  }

  /** To the authority, without a link. Null while there is none. */
  client(): TokenClient | null {
    return this.#client;
  }

  clock(): FakeClock | null {
    return this.#clock;
  }

  /** One thread or three: the next life may have another number than the one before. */
  async startAuthority(): Promise<void> {
    this.#clock ??= this.#newClock("authority");
    const server = await startServerProcess({
      root: this.#options.root,
      dataDirectory: join(this.#options.scratch, "data"),
      sealingSecret: this.#sealingSecret,
      settings: {
        LISTEN: `127.0.0.1:${this.#port}`,
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

  #newClock(name: string): FakeClock {
    return new FakeClock(this.#options.fakeClockLibrary, join(this.#options.scratch, `${name}.clock`));
  }

  #forgetAuthority(): void {
    this.#client?.[Symbol.dispose]();
    this.#client = null;
    this.#server = null;
  }
}
