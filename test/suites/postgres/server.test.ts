import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "#gen/grpc/health/v1/health_pb.ts";
import { clientOf } from "../../support/authority-process.ts";
import { ownerRole, type Postgres, serverRole } from "../support/postgres.ts";
import { copyTokens, startTokens, urlOf } from "./databases.ts";
import { makeSealingSecret, NodeProcess, verdictOf } from "./node-process.ts";

const create = { account: "acct_1", name: "a key", type: TokenType.SECRET } as const;

let server: Postgres;
const scratch = mkdtempDisposableSync(`${tmpdir()}/token-authority-nodes-`);

beforeAll(async () => {
  server = await startTokens();
  await server.sql("CREATE DATABASE bare OWNER token_owner", "postgres");
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  scratch.remove();
});

/** A database of its own, and the secret of its nodes. */
async function newDatabase(name: string): Promise<{ readonly url: string; readonly secret: string }> {
  await copyTokens(server, name);
  return { url: urlOf(server, name), secret: makeSealingSecret(scratch.path) };
}

describe("three nodes of two threads", () => {
  it("know a key that any of them made, and refuse it from the answer of a Revoke at any of them", async () => {
    const { url, secret } = await newDatabase("three_nodes");
    await using first = new NodeProcess(url, secret, { TOKEN_AUTHORITY_NODE_NAME: "node-1" });
    await using second = new NodeProcess(url, secret, { TOKEN_AUTHORITY_NODE_NAME: "node-2" });
    await using third = new NodeProcess(url, secret, { TOKEN_AUTHORITY_NODE_NAME: "node-3" });
    const clients = await Promise.all([first.client(), second.client(), third.client()]);
    const [one, two, three] = clients;
    for (let round = 0; round < 5; round += 1) {
      const { key, token } = await one.create(create);
      expect(await verdictOf(two, key)).toBe("principal");
      expect(await verdictOf(three, key)).toBe("principal");
      await three.revoke({ id: token?.id ?? "" });
      const verdicts = await Promise.all(clients.flatMap((client) => [verdictOf(client, key), verdictOf(client, key)]));
      expect(new Set(verdicts)).toEqual(new Set([RefusalReason.TOKEN_REVOKED]));
    }
    const names = await server.sql("SELECT name FROM token_authority.node ORDER BY name", "three_nodes");
    expect(names.map(({ name }) => name)).toEqual(
      ["node-1", "node-2", "node-3"].flatMap((name) => [`${name}:1`, `${name}:2`]),
    );
  });

  it("end in good order without a row that others would wait for, and begin again where they were", async () => {
    const { url, secret } = await newDatabase("stop_and_start");
    await using first = new NodeProcess(url, secret);
    const { key, token } = await (await first.client()).create(create);
    expect(await first.stop()).toBe(0);
    expect(await server.sql("SELECT name FROM token_authority.node", "stop_and_start")).toEqual([]);
    await using again = new NodeProcess(url, secret, { TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0" });
    const client = await again.client();
    expect(await verdictOf(client, key)).toBe("principal");
    await client.revoke({ id: token?.id ?? "" });
    expect(await verdictOf(client, key)).toBe(RefusalReason.TOKEN_REVOKED);
    // The REST API has a thread of its own, which is a node as well.
    expect(await server.sql("SELECT name FROM token_authority.node", "stop_and_start")).toHaveLength(3);
  });

  it("answer a Create that is sent again to another node with the same key", async () => {
    const { url, secret } = await newDatabase("sent_again");
    await using first = new NodeProcess(url, secret);
    await using second = new NodeProcess(url, secret);
    const request = { ...create, requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52" };
    const { key } = await (await first.client()).create(request);
    expect((await (await second.client()).create(request)).key).toBe(key);
  });

  it("tell metrics of themselves and of each other", async () => {
    const { url, secret } = await newDatabase("metrics");
    await using node = new NodeProcess(url, secret, { TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.1:0" });
    const client = await node.client();
    await client.create(create);
    const [, admin] = await node.logged(/"admin":"([^"]+)"/);
    const readMetrics = async () => (await fetch(`http://${admin}/metrics`)).text();
    await expect.poll(readMetrics).toContain('token_authority_nodes{state="alive"} 2');
    const metrics = await readMetrics();
    const readingOf = (name: string) => Number(new RegExp(`^${name} (.*)$`, "m").exec(metrics)?.[1]);
    expect(readingOf("token_authority_journal_revision")).toBe(1);
    expect(readingOf("token_authority_node_lease_seconds")).toBeGreaterThan(0);
    expect(readingOf("token_authority_node_renewals_total")).toBeGreaterThan(0);
    expect(readingOf("token_authority_database_synchronous")).toBe(0);
    expect(metrics).toContain('token_authority_node_refusing{reason="JOURNAL_WENT_BACK"} 0');
    // Nothing is kept on a disk of ours.
    expect(metrics).not.toContain("token_authority_disk_free_bytes");
  });
});

it("tells operators at the console which nodes serve, and that its figures are of one process", async () => {
  const { url, secret } = await newDatabase("console");
  await using node = new NodeProcess(url, secret, {
    TOKEN_AUTHORITY_CONSOLE_LISTEN: "127.0.0.1:0",
    TOKEN_AUTHORITY_NODE_NAME: "node-1",
  });
  const [, console = ""] = await node.logged(/"console":"([^"]+)"/);
  await using other = new NodeProcess(url, secret, { TOKEN_AUTHORITY_NODE_NAME: "node-2" });
  await other.address();
  type Figures = { readonly state: { readonly nodes: { readonly count: number } } };
  const figures = async () => (await (await fetch(`http://${console}/figures`)).json()) as Figures;
  await expect.poll(async () => (await figures()).state.nodes.count).toBe(4);
  expect(await figures()).toMatchObject({
    isOneOfMany: true,
    state: {
      disk: null,
      nodes: {
        refusal: null,
        inGrace: 0,
        isSynchronous: false,
        rows: [
          {
            name: "node-1:1",
            isOwn: true,
            isAlive: true,
            acknowledgedRevision: 0,
            holders: 0,
            silent: [],
            isNamesake: false,
          },
          { name: "node-1:2", isOwn: true },
          { name: "node-2:1", isOwn: false },
          { name: "node-2:2", isOwn: false },
        ],
      },
    },
  });
});

it("two processes of one name are told of, in the log and at the console; one that was killed is not another", async () => {
  const { url, secret } = await newDatabase("namesakes");
  const settings = { TOKEN_AUTHORITY_NODE_NAME: "node-1", TOKEN_AUTHORITY_CONSOLE_LISTEN: "127.0.0.1:0" };
  const said = "another process that is alive has the name of this node";
  await using killed = new NodeProcess(url, secret, settings);
  await killed.address();
  killed.child.kill("SIGKILL");
  await killed.ended();
  await using node = new NodeProcess(url, secret, settings);
  const [, console = ""] = await node.logged(/"console":"([^"]+)"/);
  type Row = { readonly name: string; readonly isAlive: boolean; readonly isNamesake: boolean };
  const rows = async () => {
    const answer = await fetch(`http://${console}/figures`);
    return ((await answer.json()) as { state: { nodes: { rows: readonly Row[] } } }).state.nodes.rows;
  };
  // What was left behind is dropped by then.
  await expect.poll(async () => (await rows()).length).toBe(2);
  expect(node.stdout).not.toContain(said);
  await using namesake = new NodeProcess(url, secret, settings);
  await Promise.all([node.logged(new RegExp(said)), namesake.logged(new RegExp(said))]);
  // The row has no address, and two connections have this name.
  const found = await server.sql(
    `SELECT client_addr FROM pg_stat_activity
       WHERE datname = 'namesakes' AND application_name = 'node-1:1/node' AND usename = '${serverRole}'`,
  );
  expect(found).toEqual([{ client_addr: "127.0.0.1" }, { client_addr: "127.0.0.1" }]);
  await expect.poll(async () => (await rows()).map(({ isNamesake }) => isNamesake)).toEqual([true, true, true, true]);
});

it("a node that is told to end says so to health checks, and serves on until they can have seen that", async () => {
  const { url, secret } = await newDatabase("lame_duck");
  await using node = new NodeProcess(url, secret, { TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "20000" });
  const address = await node.address();
  const { key } = await clientOf(address).create(create);
  node.child.kill("SIGTERM");
  await node.logged(/"msg":"stopping"/);
  const health = createClient(Health, createGrpcTransport({ baseUrl: `http://${address}` }));
  await expect.poll(async () => (await health.check({})).status).toBe(HealthCheckResponse_ServingStatus.NOT_SERVING);
  // Over a new connection too.
  expect(await verdictOf(clientOf(address), key)).toBe("principal");
  expect(await node.ended()).toBe(0);
});

describe("a start is refused", () => {
  async function refusalOf(node: NodeProcess): Promise<string> {
    expect(await node.ended()).toBe(2);
    return node.stderr;
  }

  it("without the tables, with what makes them", async () => {
    await using node = new NodeProcess(urlOf(server, "bare"), makeSealingSecret(scratch.path));
    expect(await refusalOf(node)).toBe(
      "the database has no tables of the token authority that this role may see: npm run migrate -- DATABASE makes them\n",
    );
  });

  it("with another sealing secret than that of the other nodes", async () => {
    const { url, secret } = await newDatabase("secrets");
    await using first = new NodeProcess(url, secret);
    await first.address();
    await using second = new NodeProcess(url, makeSealingSecret(scratch.path));
    expect(await refusalOf(second)).toMatch(
      /^the sealing secret is not that of the other nodes, .* --new-sealing-secret\n$/,
    );
  });

  it("without a sealing secret", async () => {
    const { url } = await newDatabase("no_secret");
    await using node = new NodeProcess(url, `${scratch.path}/none`);
    expect(await refusalOf(node)).toMatch(/^.*\/none: there is no sealing secret, and all nodes .*\n$/);
  });

  it("with a role that could rewrite the journal", async () => {
    const { secret } = await newDatabase("owner");
    await using node = new NodeProcess(urlOf(server, "owner", ownerRole), secret);
    expect(await refusalOf(node)).toMatch(/^the role token_owner may rewrite the journal: .*\n$/);
  });

  it("with a password in the URL, which is not repeated", async () => {
    const { secret } = await newDatabase("password");
    const url = urlOf(server, "password").replace(`${serverRole}@`, `${serverRole}:hunter2@`);
    await using node = new NodeProcess(url, secret);
    const refusal = await refusalOf(node);
    expect(refusal).toMatch(/^TOKEN_AUTHORITY_DATABASE must not hold a password/);
    expect(refusal).not.toContain("hunter2");
  });

  it("once threads of it have begun, and then at once: it has served nobody who would have to be told", async () => {
    const { url, secret } = await newDatabase("half_started");
    // The first thread serves by then.
    await server.sql(
      `CREATE FUNCTION widen() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
         $$ BEGIN GRANT UPDATE ON token_authority.journal TO ${serverRole}; RETURN NULL; END $$;
       CREATE TRIGGER widen AFTER INSERT ON token_authority.node FOR EACH STATEMENT EXECUTE FUNCTION widen()`,
      "half_started",
    );
    // For a fifth of it a node that has served goes on.
    await using node = new NodeProcess(url, secret, { TOKEN_AUTHORITY_SHUTDOWN_GRACE_MS: "600000" });
    expect(await refusalOf(node)).toMatch(/^the role token_authority may rewrite the journal: .*\n$/);
    expect(await server.sql("SELECT name FROM token_authority.node", "half_started")).toEqual([]);
  });

  it("when it shall make a database anew", async () => {
    const { url, secret } = await newDatabase("init");
    await using node = new NodeProcess(url, secret, {}, ["--init"]);
    expect(await refusalOf(node)).toMatch(/^a node has nothing on disk to make anew: npm run migrate/);
  });
});
