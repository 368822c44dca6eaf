import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "./free-port.ts";

/** What `npm run suite:clients` sets up: see test/suites/clients/rig.ts. */
function fromRig(name: "NODE" | "MAIN" | "DIRECTORY"): string {
  const value = process.env[`AUTHORITY_RIG_${name}`];
  if (value === undefined) {
    throw new Error(`AUTHORITY_RIG_${name} is not set: run these tests by npm run suite:clients`);
  }
  return value;
}

/** A file of the rig: `ca.pem`, `gateway.key`. */
export function rigFile(name: string): string {
  return join(fromRig("DIRECTORY"), name);
}

/** Settings of an authority that shows a certificate and asks for one. */
export function tlsSettings(): Readonly<Record<string, string>> {
  return {
    TLS_CERT: rigFile("server.pem"),
    TLS_KEY: rigFile("server.key"),
    TLS_CLIENT_CA: rigFile("ca.pem"),
    CALLERS: rigFile("callers.json"),
  };
}

/** A real process of the authority, with data of its own, which outlive its restarts. */
export class AuthorityProcess implements AsyncDisposable {
  /** HOST:PORT: the same after a restart. */
  readonly address: string;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #directory = mkdtempSync(join(tmpdir(), "token-authority-client-"));
  #child: ChildProcess | null = null;

  private constructor(address: string, settings: Readonly<Record<string, string>>) {
    this.address = address;
    this.#settings = settings;
  }

  /** `settings` without their prefix. A SEALING_SECRET of "" leaves the authority without one. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<AuthorityProcess> {
    const authority = new AuthorityProcess(`127.0.0.1:${await freePort()}`, settings);
    if (settings.SEALING_SECRET === "") {
      // It makes itself a secret beside its data, unless the name leads nowhere.
      symlinkSync("nowhere", join(authority.#directory, "data.sealing-secret"));
    }
    await authority.start();
    return authority;
  }

  /** Starts it again. */
  async start(): Promise<void> {
    const settings = {
      LISTEN: this.address,
      ADMIN_LISTEN: "off",
      DATA_DIR: join(this.#directory, "data"),
      SEALING_SECRET: rigFile("sealing-secret"),
      ...this.#settings,
    };
    const given = Object.entries(settings).filter(([, value]) => value !== "");
    const env = Object.fromEntries(given.map(([name, value]) => [`TOKEN_AUTHORITY_${name}`, value]));
    const child = spawn(fromRig("NODE"), [fromRig("MAIN")], {
      cwd: this.#directory,
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line.includes('"msg":"listening"')) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`the authority did not start:\n${lines.join("\n")}`);
  }

  /** SIGTERM ends it in good order, SIGKILL at once. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) {
      return;
    }
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** It keeps its connections, and does nothing. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    await this.end("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
