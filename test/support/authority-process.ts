import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { firstOf } from "./eventually.ts";

/** What `npm start` runs. */
export const program = resolve(import.meta.dirname, "../../src/main.ts");

const running = new Set<ChildProcess>();

// A run of the tests that is given up ends its workers so, and nothing that they have started.
process.once("SIGTERM", () => {
  for (const child of running) {
    child.kill("SIGKILL");
  }
  process.exit(143);
});

/** A process of the authority in a working directory of its own. */
export class AuthorityProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";

  constructor(directory: string, args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [program, ...args], {
      cwd: directory,
      env: {
        TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0",
        TOKEN_AUTHORITY_ADMIN_LISTEN: "off",
        ...(environment.TOKEN_AUTHORITY_UPSTREAM === undefined && environment.TOKEN_AUTHORITY_DATABASE === undefined
          ? { TOKEN_AUTHORITY_MIN_FREE_MIB: "1" }
          : {}),
        ...environment,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this.child);
    this.child.once("exit", () => running.delete(this.child));
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
  }

  /** Where it listens, once it does. */
  async address(): Promise<string> {
    const [, address = ""] = await this.logged(/"address":"([^"]+)"/);
    return address;
  }

  /** What matches in the log, once it is there. */
  async logged(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) {
        return match;
      }
      if (this.child.exitCode !== null) {
        throw new Error(`it ended before it logged ${pattern}: ${this.stderr}`);
      }
      await firstOf([this.child.stdout ?? this.child, "data"], [this.child, "close"]);
    }
  }

  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await once(this.child, "close");
    }
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended();
  }
}

/** Gone with all that is in it when it is disposed. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "token-authority-main-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A client over plaintext gRPC. */
export function clientOf(address: string) {
  return createClient(TokenService, createGrpcTransport({ baseUrl: `http://${address}` }));
}
