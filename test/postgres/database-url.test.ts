import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readDatabaseSettings } from "../../src/stores/postgres/database-url.ts";

let home: ReturnType<typeof mkdtempDisposableSync>;

beforeEach(() => {
  home = mkdtempDisposableSync(join(tmpdir(), "database-url-"));
  vi.stubEnv("HOME", home.path);
  vi.stubEnv("PGPASSWORD", "of the environment");
});

afterEach(() => {
  vi.unstubAllEnvs();
  home.remove();
});

const read = (url: string, passwordFile: string | null = null) => readDatabaseSettings(url, passwordFile, "node");

function put(name: string, text: string, mode = 0o600): string {
  const file = join(home.path, name);
  writeFileSync(file, text, { mode });
  return file;
}

describe("the hosts", () => {
  it("may be several, names and addresses, with ports and without", () => {
    expect(read("postgres://u@127.0.0.1,localhost:6432,[::1]:7/db").hosts).toEqual([
      { host: "127.0.0.1", port: 5432 },
      { host: "localhost", port: 6432 },
      { host: "::1", port: 7 },
    ]);
  });

  it("may be a directory with a Unix socket", () => {
    const hosts = [{ host: "/run/postgresql", port: 5433 }];
    expect(read("postgres://u@/db?host=/run/postgresql&port=5433").hosts).toEqual(hosts);
    expect(read("postgresql://u@%2Frun%2Fpostgresql:5433/db").hosts).toEqual(hosts);
  });

  it.each([
    "",
    "mysql://u@localhost/db",
    "postgres://localhost/db",
    "postgres://u@localhost",
    "postgres://u@localhost/",
    "postgres://u@/db",
    "postgres://u@localhost/db?host=/run",
    "postgres://u@localhost/db?port=5",
    "postgres://u@localhost:0/db",
    "postgres://u@localhost:65536/db",
    "postgres://u@localhost:x/db",
    "postgres://u@local host/db",
    "postgres://u@localhost,/db",
    "postgres://u@localhost/db?application_name=x",
    "postgres://u@localhost/db?sslmode=disable&sslmode=disable",
    "postgres://u@localhost/%00",
    "postgres://u@localhost/%zz",
    `postgres://u@${Array(17).fill("localhost").join(",")}/db`,
  ])("are refused with the rule in %j", (url) => {
    expect(() => read(url)).toThrow(/^TOKEN_AUTHORITY_DATABASE (must|takes|holds)/);
  });
});

describe("the password", () => {
  it.each([
    "postgres://u:hunter2@localhost/db",
    "postgres://u:hunter2@h.example/db?sslmode=verify-full",
    "postgres://u:hun@ter2@localhost/db",
    "postgres://u:hun/ter2@localhost/db",
    "postgres://u:hun?ter2@localhost/db",
    "postgres://u@localhost/db?password=hunter2",
    "u:hunter2@localhost",
    "postgres://u:hunter2",
    "postgres://u:hunter2@localhost:70000/db",
    "postgres://u:%hunter2@localhost/db",
  ])("in the URL is refused, and not repeated: %j", (url) => {
    expect(() => read(url)).toThrow(/^(?=TOKEN_AUTHORITY_DATABASE)(?!.*hun)(?!.*ter2)/s);
  });

  it("is the first line of its file", () => {
    expect(read("postgres://u@localhost/db", put("password", "s3 cret\nmore")).password).toBe("s3 cret");
    expect(() => read("postgres://u@localhost/db", put("empty", "\n"))).toThrow("must be its first line");
    expect(() => read("postgres://u@localhost/db", put("open", "x", 0o644))).toThrow("is open to others");
    expect(() => read("postgres://u@localhost/db", join(home.path, "none"))).toThrow("cannot be read (ENOENT)");
  });

  it("is found in .pgpass as PostgreSQL's own programs find it, and never in the environment", () => {
    expect(read("postgres://u@localhost/db").password).toBeNull();
    put(
      ".pgpass",
      "# db:5432:db:u:commented\nlocalhost:5432:other:u:other\nlocalhost:*:db:u:a\\:b\\\\c\n10.0.0.1:*:*:v:for v\n*:*:*:*:any\n",
    );
    expect(read("postgres://u@localhost/db").password).toBe("a:b\\c");
    expect(read("postgres://u@/db?host=/run/postgresql").password).toBe("a:b\\c");
    expect(read("postgres://v@10.0.0.1/x?sslmode=verify-full").password).toBe("for v");
    expect(read("postgres://w@127.0.0.1/x").password).toBe("any");
  });

  it("is not taken from a .pgpass that others can read", () => {
    put(".pgpass", "*:*:*:*:any\n", 0o644);
    expect(() => read("postgres://u@localhost/db")).toThrow("is open to others");
  });
});

describe("TLS", () => {
  it.each(["db.example", "10.0.0.1", "127.0.0.1,db.example", "[2001:db8::1]", "localhost.example"])(
    "must be verified to %s, which is another machine",
    (hosts) => {
      for (const mode of ["", "?sslmode=require", "?sslmode=verify-ca", "?sslmode=prefer", "?sslmode=disable"]) {
        expect(() => read(`postgres://u@${hosts}/db${mode}`)).toThrow("must say sslmode=verify-full");
      }
      expect(read(`postgres://u@${hosts}/db?sslmode=verify-full`).tls).toEqual({ authorities: null, client: null });
    },
  );

  it("is not needed on this machine, and taken where it is asked for", () => {
    expect(read("postgres://u@127.9.0.1/db").tls).toBeNull();
    expect(read("postgres://u@localhost/db?sslmode=disable").tls).toBeNull();
    expect(() => read("postgres://u@localhost/db?sslmode=require")).toThrow("takes sslmode=verify-full");
    const ca = put("ca.pem", "CA", 0o644);
    expect(read(`postgres://u@localhost/db?sslmode=verify-full&sslrootcert=${ca}`).tls?.authorities).toBe("CA");
    expect(() => read(`postgres://u@localhost/db?sslrootcert=${ca}`)).toThrow("only with sslmode=verify-full");
  });

  it("takes a client's certificate with its key, which others must not read", () => {
    const [cert, key, open] = [put("c.pem", "CERT", 0o644), put("c.key", "KEY"), put("open.key", "KEY", 0o640)];
    const url = `postgres://u@db.example/db?sslmode=verify-full&sslcert=${cert}`;
    expect(read(`${url}&sslkey=${key}`).tls?.client).toEqual({ certificate: "CERT", key: "KEY" });
    expect(() => read(`${url}&sslkey=${open}`)).toThrow("is open to others");
    expect(() => read(url)).toThrow("both sslcert and sslkey");
    expect(() => read(`${url}-none&sslkey=${key}`)).toThrow("cannot be read (ENOENT)");
  });
});
