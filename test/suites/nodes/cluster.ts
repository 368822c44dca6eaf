import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Link } from "../freshness/link.ts";
import { ownerRole, type Postgres, serverRole, startPostgres, superuser } from "../support/postgres.ts";

const version = 15;
const maxWaitMs = 30_000;

/** Quick to find out what is dead. */
const settings = { wal_sender_timeout: "5s", wal_receiver_timeout: "5s", wal_retrieve_retry_interval: "100ms" };

export type ClusterOptions = {
  readonly toxiproxy: string;
  /** Makes the schema in the database of this URL. */
  readonly migrate: (url: string) => Promise<void>;
  /** The first host's disk has no more room than this. */
  readonly diskMiB?: number | undefined;
};

/** A primary and its synchronous standby, at two hosts. The standby can take the other's place, and the other way. */
export class Cluster implements AsyncDisposable {
  readonly #replication: Link;
  /** Those of the nodes to the first host, and those to the second. */
  readonly #links: readonly [Link[], Link[]] = [[], []];
  readonly #hosts: [Postgres | null, Postgres | null];
  /** Which host is the primary. */
  #primary: 0 | 1 = 0;

  private constructor(first: Postgres, replication: Link) {
    this.#hosts = [first, null];
    this.#replication = replication;
  }

  static async start({ toxiproxy, migrate, diskMiB }: ClusterOptions): Promise<Cluster> {
    const first = await startPostgres({ version, settings, ...(diskMiB === undefined ? {} : { diskMiB }) });
    const cluster = new Cluster(first, await Link.start(toxiproxy, `127.0.0.1:${first.port}`));
    await migrate(cluster.ownersUrl());
    await cluster.addStandby();
    return cluster;
  }

  primary(): Postgres {
    const primary = this.#hosts[this.#primary];
    if (primary === null) {
      throw new Error("there is no primary");
    }
    return primary;
  }

  /** Which of the hosts, in the order of the links. */
  primaryPlace(): number {
    return this.#primary;
  }

  standbyPlace(): number {
    return this.#other();
  }

  standby(): Postgres | null {
    return this.#hosts[this.#other()];
  }

  /** Of the role that owns the schema, straight to the primary. */
  ownersUrl(): string {
    return this.primary().url(ownerRole);
  }

  /** Links to both hosts, which stay led to them whoever is there. */
  async linksFor(toxiproxy: string): Promise<readonly Link[]> {
    const links = [];
    for (const place of [0, 1] as const) {
      const link = await Link.start(toxiproxy, `127.0.0.1:${this.#hosts[place]?.port ?? 1}`);
      this.#links[place].push(link);
      links.push(link);
    }
    return links;
  }

  /** The setting of a node that reaches the hosts through these links. */
  urlThrough(links: readonly Link[]): string {
    const { port } = this.primary();
    return this.primary()
      .url(serverRole)
      .replace(`127.0.0.1:${port}`, links.map((link) => link.address()).join(","));
  }

  /** SIGSTOP of the primary's every process. */
  async stopPrimaryFor(ms: number): Promise<void> {
    const primary = this.primary();
    primary.sigstop();
    await sleep(ms);
    primary.sigcont();
  }

  /** SIGSTOP of one process that serves a node, whichever; of the one that sends to the standby, where asked for. */
  async stopBackendFor(ms: number, which: "of a node" | "of the standby", pick: (pids: number[]) => number) {
    const text =
      which === "of a node"
        ? `SELECT pid FROM pg_stat_activity WHERE usename = '${serverRole}'`
        : "SELECT pid FROM pg_stat_replication";
    const pids = (await this.primary().sql(text)).map(({ pid }) => Number(pid));
    await stopFor(pids.length === 0 ? [] : [pick(pids)], ms);
  }

  /** Ends every session of the nodes. */
  async endSessions(): Promise<void> {
    await this.primary().sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${serverRole}'`);
  }

  /** For new transactions. */
  async setReadOnly(isReadOnly: boolean): Promise<void> {
    await this.primary().set({ default_transaction_read_only: isReadOnly ? "on" : "off" });
  }

  /** Takes the connections that are left, and ends those of the nodes. Resolves to what gives them back. */
  async takeConnections(): Promise<() => Promise<void>> {
    const taken: pg.Client[] = [];
    const url = this.primary().url(serverRole);
    for (let nodesLeft = 1; nodesLeft > 0; ) {
      const client = new pg.Client(url);
      client.on("error", () => undefined);
      try {
        await client.connect();
        taken.push(client);
      } catch {
        // What the nodes have is taken as it becomes free: until a refusal finds that they have none.
        const ended = await this.primary().sql(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE usename = '${serverRole}' AND application_name <> ''`,
        );
        nodesLeft = ended.length;
      }
    }
    return async () => {
      await Promise.all(taken.map((client) => client.end()));
    };
  }

  async cutReplication(): Promise<void> {
    await this.#replication.kill();
  }

  async mendReplication(): Promise<void> {
    await this.#replication.restart();
  }

  /** Whether the primary waits for the standby. */
  async setSynchronous(isSynchronous: boolean): Promise<void> {
    await this.primary().set({ synchronous_standby_names: isSynchronous ? "*" : "" });
  }

  /** Promotes the standby, which waits for no standby of its own. Returns the old primary. */
  async failOver(old: "killed" | "alive"): Promise<Postgres> {
    const before = this.primary();
    const next = this.standby();
    if (next === null) {
      throw new Error("there is no standby to promote");
    }
    if (old === "killed") {
      await before.kill9();
    }
    await this.#replication.kill();
    await next.promote();
    this.#primary = this.#other();
    return before;
  }

  /** In place of what the other host was, a new standby; from then on the primary waits for it. */
  async addStandby(): Promise<void> {
    const place = this.#other();
    await this.#hosts[place]?.[Symbol.asyncDispose]();
    this.#hosts[place] = null;
    const primary = this.primary();
    await this.#replication.restart();
    await this.#replication.leadTo(`127.0.0.1:${primary.port}`);
    await this.setSynchronous(false);
    const standby = await startPostgres({ version, settings, standbyOf: primary });
    const [host, port] = this.#replication.address().split(":");
    await standby.set({ primary_conninfo: `host=${host} port=${port} user=${superuser} application_name=standby` });
    this.#hosts[place] = standby;
    await this.setSynchronous(true);
    await until("the standby is synchronous", async () => {
      const rows = await this.primary().sql("SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')");
      return rows.length > 0;
    });
    await Promise.all(this.#links[place].map((link) => link.leadTo(`127.0.0.1:${standby.port}`)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.flat().map((link) => link.kill()));
    await this.#replication.kill();
    for (const host of this.#hosts) {
      await host?.[Symbol.asyncDispose]();
    }
  }

  #other(): 0 | 1 {
    return this.#primary === 0 ? 1 : 0;
  }
}

/** Cancels, again and again, whatever waits for the standby: its COMMIT is then answered, with a warning. */
export async function cancelWaits(primary: Postgres, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) {
    await primary.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    await sleep(20);
  }
}

async function stopFor(pids: readonly number[], ms: number): Promise<void> {
  const stopped = pids.filter((pid) => signal(pid, "SIGSTOP"));
  await sleep(ms);
  for (const pid of stopped) {
    signal(pid, "SIGCONT");
  }
}

/** False when there is no such process any more. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + maxWaitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) {
      throw new Error(`waited in vain until ${what}`);
    }
    await sleep(50);
  }
}
