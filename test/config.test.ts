import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { describeSettings, readConfig, settingGroups } from "../src/config.ts";
import { memoryLimitBytes } from "../src/machine/memory-limit.ts";

const tls = {
  TOKEN_AUTHORITY_TLS_CERT: "cert.pem",
  TOKEN_AUTHORITY_TLS_KEY: "key.pem",
  TOKEN_AUTHORITY_TLS_CLIENT_CA: "ca.pem",
  TOKEN_AUTHORITY_CALLERS: "callers.json",
};

describe("the configuration", () => {
  it("is, without any setting, a plaintext operator's port on loopback", () => {
    expect(readConfig({})).toMatchObject({
      rpc: { listen: { host: "127.0.0.1", port: 50051 }, tls: null, plaintextRole: "operator" },
      admin: { listen: { host: "127.0.0.1", port: 9464 } },
      maxTokensPerAccount: 10_000,
      maxLifetimeDays: null,
      sealingSecret: { create: true },
    });
  });

  it.each([
    [64 * 2 ** 20, 204],
    [16 * 2 ** 20, 100],
    [2 ** 30, 3276],
    [64 * 2 ** 30, 10_000],
  ])("with %d bytes of memory takes %d connections, unless it is told how many", (memoryBytes, connections) => {
    expect(readConfig({}, memoryBytes).rpc.maxConnections).toBe(connections);
    expect(readConfig({ TOKEN_AUTHORITY_MAX_CONNECTIONS: "7" }, memoryBytes).rpc.maxConnections).toBe(7);
  });

  it("knows what memory a process may use: its limit, or all of the machine's where it has none", () => {
    const limitOf = (bytes: number) => memoryLimitBytes({ constrainedMemory: () => bytes });
    expect(limitOf(2 ** 20)).toBe(2 ** 20);
    expect([limitOf(0), limitOf(2 ** 64)]).toEqual([totalmem(), totalmem()]);
    expect(memoryLimitBytes(process)).toBeGreaterThan(2 ** 20);
  });

  it("makes a sealing secret beside the data directory, whichever it is, unless a setting says where one is", () => {
    const env = { TOKEN_AUTHORITY_DATA_DIR: "/srv/tokens/" };
    expect(readConfig(env).sealingSecret).toEqual({ file: "/srv/tokens.sealing-secret", create: true });
    expect(readConfig({}).sealingSecret).toEqual({ file: resolve("data.sealing-secret"), create: true });
    const given = { ...env, TOKEN_AUTHORITY_SEALING_SECRET: "/etc/secret" };
    expect(readConfig(given).sealingSecret).toEqual({ file: "/etc/secret", create: false });
  });

  it.each([
    [{ LISTEN: "127.0.0.1:9464" }, "ADMIN_LISTEN: must have another port than TOKEN_AUTHORITY_LISTEN"],
    [{ ADMIN_LISTEN: "0.0.0.0:50051" }, "ADMIN_LISTEN: must have another port than TOKEN_AUTHORITY_LISTEN"],
    [{ CONSOLE_LISTEN: "127.0.0.1:9464" }, "ADMIN_LISTEN: must have another port than TOKEN_AUTHORITY_CONSOLE_LISTEN"],
    [
      { REST_LISTEN: "127.0.0.1:81", CONSOLE_LISTEN: "127.0.0.1:81" },
      "CONSOLE_LISTEN: must have another port than TOKEN_AUTHORITY_REST_LISTEN",
    ],
  ])("refuses two listeners at one place: %j", (addresses, line) => {
    const env = Object.fromEntries(Object.entries(addresses).map(([name, text]) => [`TOKEN_AUTHORITY_${name}`, text]));
    expect(() => readConfig(env)).toThrow(`TOKEN_AUTHORITY_${line}`);
  });

  it("accepts one port on two addresses of the machine", () => {
    const env = { TOKEN_AUTHORITY_LISTEN: "127.0.0.1:9464", TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.2:9464" };
    expect(readConfig(env).admin?.listen).toEqual({ host: "127.0.0.2", port: 9464 });
  });

  it("says what a wrong value was, on one line however long it is", () => {
    expect(() => readConfig({ TOKEN_AUTHORITY_THREADS: "two\n" })).toThrow(
      'TOKEN_AUTHORITY_THREADS: must be a whole number from 1 to 64, and is "two\\n"',
    );
    expect(() => readConfig({ TOKEN_AUTHORITY_LOG_LEVEL: "x".repeat(1000) })).toThrow(/^[^\n]{1,200}$/);
  });

  it.each(["0.0.0.0:50051", "[::]:50051", "10.0.0.1:50051", "authority.internal:50051"])(
    "refuses plaintext on %s, and accepts it with TLS",
    (listen) => {
      const env = { TOKEN_AUTHORITY_LISTEN: listen };
      expect(() => readConfig(env)).toThrow(/TOKEN_AUTHORITY_LISTEN: plaintext .* set TOKEN_AUTHORITY_TLS_CERT/);
      expect(readConfig({ ...env, ...tls }).rpc.tls).toEqual({
        certificate: "cert.pem",
        key: "key.pem",
        clientCa: "ca.pem",
        callers: "callers.json",
      });
    },
  );

  it.each(["127.0.0.1:0", "127.8.9.1:50051", "localhost:50051", "[::1]:50051", "unix:/run/authority.sock"])(
    "accepts plaintext on %s",
    (listen) => {
      expect(readConfig({ TOKEN_AUTHORITY_LISTEN: listen }).rpc.tls).toBeNull();
    },
  );

  it.each(Object.keys(tls))("refuses the TLS settings without %s", (name) => {
    expect(() => readConfig({ ...tls, [name]: undefined })).toThrow(`${name}: must be set as well`);
  });

  it.each([
    ["LISTEN", "50051"],
    ["LISTEN", "127.0.0.1:65536"],
    ["LISTEN", "[127.0.0.1]:1"],
    ["LISTEN", "unix:relative"],
    ["LISTEN", `unix:/${"a".repeat(95)}`],
    ["ADMIN_LISTEN", "no"],
    ["REST_LISTEN", "unix:/run/rest.sock"],
    ["REST_LISTEN", "0.0.0.0:443"],
    ["REST_LISTEN", "localhost:50051"],
    ["CONSOLE_LISTEN", "no"],
    ["CONSOLE_LISTEN", "unix:/run/console.sock"],
    ["CONSOLE_LISTEN", "0.0.0.0:8081"],
    ["CONSOLE_LISTEN", "console.internal:8081"],
    ["PLAINTEXT_ROLE", "root"],
    ["MAX_TOKENS_PER_ACCOUNT", "0"],
    ["MAX_TOKENS_PER_ACCOUNT", "1e3"],
    ["MAX_LIFETIME_DAYS", "0"],
    ["MAX_LIFETIME_DAYS", "1.5"],
    ["MIN_FREE_MIB", "-1"],
    ["SHUTDOWN_GRACE_MS", "600001"],
    ["CLOCK_BACK", "yes"],
    ["LOG_LEVEL", "trace"],
  ])("refuses %s=%s with a line that names the setting", (name, value) => {
    expect(() => readConfig({ [`TOKEN_AUTHORITY_${name}`]: value })).toThrow(
      new RegExp(`^TOKEN_AUTHORITY_${name}: [^\\n]+$`),
    );
  });

  it("serves no REST API unless it is said where, and beyond loopback with its own TLS alone", () => {
    const rest = { TOKEN_AUTHORITY_REST_LISTEN: "0.0.0.0:443" };
    const restTls = { TOKEN_AUTHORITY_REST_TLS_CERT: "rest.pem", TOKEN_AUTHORITY_REST_TLS_KEY: "rest-key.pem" };
    expect(readConfig(restTls).rest).toBeNull();
    expect(readConfig({ ...rest, ...restTls }).rest).toEqual({
      listen: { host: "0.0.0.0", port: 443 },
      tls: { certificate: "rest.pem", key: "rest-key.pem" },
    });
    expect(() => readConfig({ ...rest, ...tls })).toThrow(/TOKEN_AUTHORITY_REST_LISTEN: plaintext .*_REST_TLS_CERT/);
    expect(readConfig({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:8080" }).rest?.tls).toBeNull();
    for (const name of Object.keys(restTls)) {
      expect(() => readConfig({ ...rest, ...restTls, [name]: undefined })).toThrow(`${name}: must be set as well`);
    }
  });

  it("serves the console on loopback alone, whatever the TLS", () => {
    expect(readConfig({}).console).toBeNull();
    expect(readConfig({ TOKEN_AUTHORITY_CONSOLE_LISTEN: "[::1]:8081" }).console?.listen).toEqual({
      host: "::1",
      port: 8081,
    });
    const env = { ...tls, TOKEN_AUTHORITY_CONSOLE_LISTEN: "10.0.0.1:8081" };
    expect(() => readConfig(env)).toThrow("TOKEN_AUTHORITY_CONSOLE_LISTEN: the console is served on loopback");
  });

  it("refuses a name that is no setting, so that a typing error is not a default", () => {
    expect(() => readConfig({ TOKEN_AUTHORITY_LISTEM: "127.0.0.1:1" })).toThrow("TOKEN_AUTHORITY_LISTEM: there is no");
  });

  it("ignores what Kubernetes sets beside a Service of this name", () => {
    const injected = Object.fromEntries(
      [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_GRPC",
        "PORT",
        "PORT_50051_TCP",
        "PORT_50051_TCP_ADDR",
        "ADMIN_PORT",
      ].map((name) => [`TOKEN_AUTHORITY_${name}`, "tcp://10.0.0.1:50051"]),
    );
    expect(readConfig(injected)).toEqual(readConfig({}));
  });

  it.each(["PORT", "ADMIN_PORT", "LISTEN_PORT"])("refuses %s with a value that Kubernetes does not set", (name) => {
    expect(() => readConfig({ [`TOKEN_AUTHORITY_${name}`]: "9000" })).toThrow(`TOKEN_AUTHORITY_${name}: there is no`);
  });

  it("takes an empty value as not set", () => {
    expect(readConfig({ TOKEN_AUTHORITY_LISTEN: "", TOKEN_AUTHORITY_TLS_CERT: "" })).toEqual(readConfig({}));
  });

  it("is described line by line, defaults included", () => {
    expect(describeSettings()).toContain("TOKEN_AUTHORITY_LISTEN\n");
    expect(describeSettings()).toContain("default: 127.0.0.1:50051");
  });
});

it("has every setting in docs/settings.md, with its rule and its default", () => {
  const page = readFileSync(resolve(import.meta.dirname, "../docs/settings.md"), "utf8");
  const described = [...describeSettings().matchAll(/ (TOKEN_AUTHORITY_\w+)\n.*\n +(.*); default: (.*)/g)];
  expect(described.length).toBe(settingGroups.flatMap(({ settings }) => settings).length);
  for (const [, name, rule, fallback = ""] of described) {
    expect(page.replaceAll("`", "")).toContain(`| ${name} | ${rule} | ${fallback} |`);
  }
});

// Said in words and kept in numbers, a range could be two.
const ranges = [...describeSettings().matchAll(/ (TOKEN_AUTHORITY_\w+)\n.*\n +a whole number from (\d+) to (\d+);/g)];
it.each(ranges.map(([, name = "", least = "", most = ""]) => [name, Number(least), Number(most)] as const))(
  "takes %s from %i to %i, as --help says, and nothing beyond",
  (name, least, most) => {
    const beside = name === "TOKEN_AUTHORITY_GRACE_MS" ? { TOKEN_AUTHORITY_DATABASE: "postgres://a@localhost/b" } : {};
    for (const value of [least, most]) {
      expect(() => readConfig({ ...beside, [name]: String(value) })).not.toThrow();
    }
    for (const value of [least - 1, most + 1]) {
      expect(() => readConfig({ [name]: String(value) })).toThrow(
        `${name}: must be a whole number from ${least} to ${most}, and is "${value}"`,
      );
    }
  },
);

it("says the range of all nine settings that are numbers", () => {
  expect(ranges.map(([, name]) => name)).toHaveLength(9);
});

describe("an edge", () => {
  const upstream = { TOKEN_AUTHORITY_UPSTREAM: "unix:/run/authority.sock" };
  const files = {
    TOKEN_AUTHORITY_UPSTREAM_CA: "ca.pem",
    TOKEN_AUTHORITY_UPSTREAM_CERT: "edge.pem",
    TOKEN_AUTHORITY_UPSTREAM_KEY: "edge.key",
  };

  it("asks an authority in plaintext on this machine, and elsewhere with certificates", () => {
    expect(readConfig({}).upstream).toBeNull();
    expect(readConfig(upstream).upstream).toEqual({ address: "unix:/run/authority.sock", tls: null });
    const elsewhere = { TOKEN_AUTHORITY_UPSTREAM: "authority:50051" };
    expect(() => readConfig(elsewhere)).toThrow(
      /TOKEN_AUTHORITY_UPSTREAM: plaintext .* set TOKEN_AUTHORITY_UPSTREAM_CA/,
    );
    expect(readConfig({ ...elsewhere, ...files }).upstream).toEqual({
      address: "authority:50051",
      tls: { ca: "ca.pem", cert: "edge.pem", key: "edge.key" },
    });
  });

  it.each(Object.keys(files))("has its three files together, not without %s", (name) => {
    expect(() => readConfig({ ...upstream, ...files, [name]: undefined })).toThrow(`${name}: must be set as well`);
  });

  it("has no files without an authority to ask", () => {
    expect(() => readConfig(files)).toThrow("TOKEN_AUTHORITY_UPSTREAM_CA: is of no use without");
  });

  it.each([
    ["DATA_DIR", "/data"],
    ["REVOCATION_LOG", "/log"],
    ["MARKER", "/marker"],
    ["SEALING_SECRET", "/secret"],
    ["MIN_FREE_MIB", "1"],
    ["REST_LISTEN", "127.0.0.1:8443"],
    ["CONSOLE_LISTEN", "127.0.0.1:8081"],
    ["MAX_TOKENS_PER_ACCOUNT", "1"],
    ["MAX_LIFETIME_DAYS", "1"],
    ["CLOCK_BACK", "allow"],
    ["DATABASE", "postgres://authority@localhost/tokens"],
  ])("has no use for %s, and says so", (name, value) => {
    expect(() => readConfig({ ...upstream, [`TOKEN_AUTHORITY_${name}`]: value })).toThrow(
      `TOKEN_AUTHORITY_${name}: must not be set together with TOKEN_AUTHORITY_UPSTREAM: an edge decides on keys`,
    );
    expect(readConfig({ ...upstream, [`TOKEN_AUTHORITY_${name}`]: "" }).upstream).not.toBeNull();
  });

  it("has nothing to ask at an address that is none", () => {
    for (const address of ["authority", "authority:0", "https://authority:50051"]) {
      expect(() => readConfig({ TOKEN_AUTHORITY_UPSTREAM: address })).toThrow("TOKEN_AUTHORITY_UPSTREAM: must be");
    }
  });
});

describe("a node over a database", () => {
  const database = { TOKEN_AUTHORITY_DATABASE: "postgres://authority@localhost/tokens" };

  it("has a database, and what is said of it", () => {
    expect(readConfig({}).database).toBeNull();
    expect(readConfig(database).database).toEqual({
      url: "postgres://authority@localhost/tokens",
      password: null,
      nodeName: null,
      graceMs: 0,
    });
    const config = readConfig({
      ...database,
      TOKEN_AUTHORITY_DATABASE_PASSWORD: "/run/password",
      TOKEN_AUTHORITY_NODE_NAME: "node-1",
      TOKEN_AUTHORITY_GRACE_MS: "5000",
    });
    expect(config.database).toMatchObject({ password: "/run/password", nodeName: "node-1", graceMs: 5000 });
  });

  it.each([
    ["DATABASE_PASSWORD", "/run/password"],
    ["NODE_NAME", "node-1"],
    ["GRACE_MS", "0"],
  ])("is what %s is of, which is refused without a database", (name, value) => {
    expect(() => readConfig({ [`TOKEN_AUTHORITY_${name}`]: value })).toThrow(
      `TOKEN_AUTHORITY_${name}: is of no use without TOKEN_AUTHORITY_DATABASE`,
    );
  });

  it.each([
    ["REVOCATION_LOG", "/log"],
    ["MARKER", "/marker"],
    ["MIN_FREE_MIB", "64"],
  ])("keeps nothing on a disk that %s could be of, and says so", (name, value) => {
    expect(() => readConfig({ ...database, [`TOKEN_AUTHORITY_${name}`]: value })).toThrow(
      `TOKEN_AUTHORITY_${name}: must not be set together with TOKEN_AUTHORITY_DATABASE: nothing is kept`,
    );
  });

  it("makes no sealing secret, since the other nodes have one", () => {
    expect(readConfig({ TOKEN_AUTHORITY_DATA_DIR: "/data" }).sealingSecret.create).toBe(true);
    expect(readConfig({ ...database, TOKEN_AUTHORITY_DATA_DIR: "/data" }).sealingSecret).toEqual({
      file: "/data.sealing-secret",
      create: false,
    });
  });

  it.each(["a node", "knoten-ü", "n".repeat(49)])("has no name like %j", (name) => {
    expect(() => readConfig({ ...database, TOKEN_AUTHORITY_NODE_NAME: name })).toThrow(
      "TOKEN_AUTHORITY_NODE_NAME: must be 1 to 48 printable ASCII characters without a space",
    );
  });
});
