import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Gateway, GatewayProgram, Holder } from "../freshness/gateway-process.ts";
import type { Stage } from "../freshness/round.ts";
import { newClock, type ProcessOptions, startGateway } from "../freshness/start-gateway.ts";
import type { Random } from "../support/random.ts";
import { runProgram } from "../support/run-program.ts";
import type { TokenClient } from "../support/token-client.ts";
import { Cluster } from "./cluster.ts";
import { Node } from "./node.ts";

const commandTimeoutMs = 60_000;

export type FleetOptions = ProcessOptions & {
  /** Where the authority's source lies. */
  readonly root: string;
  readonly nodes: number;
  /** They are spread over the nodes in turn. */
  readonly gateways: readonly GatewayProgram[];
  readonly onLine?: (line: string) => void;
  /** Of the database's first host. */
  readonly diskMiB?: number | undefined;
};

/** Nodes on one database, each with its own links to it, and gateways that reach one node each. */
export class Fleet implements Stage, AsyncDisposable {
  /** Where its files are. */
  readonly scratch: string;
  readonly database: Cluster;
  readonly nodes: readonly Node[];
  readonly gateways: readonly Gateway[];
  readonly holders: readonly Holder[];
  /** No change is asked for at this node. */
  avoided: Node | null = null;
  readonly #options: FleetOptions;
  readonly #random: Random;
  #recoveries = 0;

  private constructor(
    options: FleetOptions,
    random: Random,
    database: Cluster,
    parts: { readonly nodes: readonly Node[]; readonly gateways: readonly Gateway[] },
  ) {
    this.#options = options;
    this.#random = random;
    this.scratch = options.scratch;
    this.database = database;
    this.nodes = parts.nodes;
    this.gateways = parts.gateways;
    const holders = [...parts.gateways, ...parts.nodes.flatMap((node) => node.holders)];
    this.holders = holders.map((holder) => ({
      // What was seen of changes that are lost and recovered from is seen no more.
      holder: () => `${holder.holder()}-${this.#recoveries}`,
      ask: (key) => holder.ask(key),
    }));
  }

  static async start(options: FleetOptions, random: Random): Promise<Fleet> {
    const { toxiproxy, scratch, root } = options;
    await using started = new AsyncDisposableStack();
    const database = started.use(
      await Cluster.start({ ...options, migrate: (url) => runMain(root, ["migrate", url]) }),
    );
    const sealingSecret = join(scratch, "sealing-secret");
    writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
    const nodes: Node[] = [];
    const gateways: Gateway[] = [];
    started.defer(() => killAll(nodes, gateways));
    for (let number = 1; number <= options.nodes; number += 1) {
      const name = `node-${number}`;
      const links = await database.linksFor(toxiproxy);
      const node = await Node.start({
        name,
        root,
        dataDirectory: join(scratch, name),
        logFile: join(scratch, `${name}.log`),
        sealingSecret,
        database: database.urlThrough(links),
        links,
        clock: newClock(name, options),
        onLine: (line) => options.onLine?.(line),
      });
      nodes.push(node);
    }
    for (const [index, program] of options.gateways.entries()) {
      const node = nodes[index % nodes.length];
      if (node !== undefined) {
        gateways.push(await startGateway(program, `${program.language}-${index + 1}`, node.address(), options));
      }
    }
    started.move();
    return new Fleet(options, random, database, { nodes, gateways });
  }

  /** To a node that runs, whichever. */
  client(): TokenClient | null {
    const asked = this.nodes.filter((node) => node !== this.avoided);
    const clients = asked.map((node) => node.client()).filter((client) => client !== null);
    return clients.length === 0 ? null : this.#random.pick(clients);
  }

  anyNode(): Node {
    return this.#random.pick(this.nodes);
  }

  /** Resolves once every node answers by the database. */
  async serves(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.serves()));
  }

  /** What should not happen whatever fails, and no history shows. */
  async faults(): Promise<readonly string[]> {
    const [found] = await this.database
      .primary()
      .sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    const deadlocks = Number(found?.deadlocks);
    const stopped = this.nodes.filter((node) => node.hasStopped());
    return [
      ...(deadlocks === 0 ? [] : [`${deadlocks} deadlocks in the database`]),
      ...stopped.map(({ name }) => `${name} found that the journal went back`),
    ];
  }

  /** Rejects when the journal is not whole, or has not the head that was told. */
  async verifyJournal(head: string | null): Promise<void> {
    const args = ["verify-journal", this.database.ownersUrl(), ...(head === null ? [] : ["--head", head])];
    await runMain(this.#options.root, args);
  }

  /** Recovers the database that has lost changes, so that the nodes begin anew. */
  async recover(how: "with the nodes' logs" | "without what was lost"): Promise<void> {
    const files = ["--revocations", ...this.nodes.map((node) => node.logFile())];
    const args = how === "with the nodes' logs" ? files : ["--accept-lost-revocations"];
    // Whoever stopped may serve again before the command has ended.
    this.#recoveries += 1;
    await runMain(this.#options.root, ["recover", this.database.ownersUrl(), ...args]);
    for (const node of this.nodes) {
      node.recovered();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await killAll(this.nodes, this.gateways);
    await this.database[Symbol.asyncDispose]();
  }
}

async function killAll(nodes: readonly Node[], gateways: readonly Gateway[]): Promise<void> {
  for (const gateway of gateways) {
    await gateway.kill();
    await gateway.link.kill();
  }
  for (const node of nodes) {
    await node.kill();
  }
}

/** Runs a command of the authority. Rejects with what it printed when it fails. */
async function runMain(root: string, args: readonly string[]): Promise<void> {
  const options = { cwd: root, timeoutMs: commandTimeoutMs };
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, ["src/main.ts", ...args], options);
  if (exitCode !== 0) {
    throw new Error(`${args[0]} ended with ${exitCode}: ${stdout}${stderr}`);
  }
}
