import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { AuthorityProcess, clientOf } from "../../support/authority-process.ts";

/** Makes the secret that all nodes of a database seal keys with. */
export function makeSealingSecret(directory: string): string {
  const file = join(directory, `sealing-secret-${randomBytes(4).toString("hex")}`);
  writeFileSync(file, randomBytes(32), { mode: 0o600 });
  return file;
}

/** A process that serves the database with two threads, each of which is a node of it. */
export class NodeProcess extends AuthorityProcess {
  constructor(
    database: string,
    sealingSecret: string,
    environment: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
  ) {
    super("/", args, {
      TOKEN_AUTHORITY_DATABASE: database,
      TOKEN_AUTHORITY_SEALING_SECRET: sealingSecret,
      TOKEN_AUTHORITY_THREADS: "2",
      // Nobody balances: a node that ends need not wait until that is seen.
      TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "1000",
      ...environment,
    });
  }

  async client(): Promise<ReturnType<typeof clientOf>> {
    return clientOf(await this.address());
  }

  /** SIGTERM, and the exit code. */
  async stop(): Promise<number | null> {
    this.child.kill("SIGTERM");
    return await this.ended();
  }
}

/** `principal`, or the number of the reason why the key is refused. */
export async function verdictOf(client: ReturnType<typeof clientOf>, key: string): Promise<string | number> {
  const { outcome } = await client.authenticate({ key });
  return outcome.case === "refusal" ? outcome.value.reason : String(outcome.case);
}
