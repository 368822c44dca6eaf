import { resolve } from "node:path";
import { type Role, roles } from "./authority/caller.ts";
import { StartError } from "./machine/start-error.ts";
import { nearestWord } from "./nearest-word.ts";
import { dataFiles } from "./stores/sqlite/data-directory.ts";
import type { TracingSettings } from "./telemetry/opentelemetry/tracing-settings.ts";
import { readTracingSettings } from "./tracing-config.ts";
import { type ListenAddress, parseListenAddress } from "./wire/port/listen-address.ts";
import { isThisMachine } from "./wire/port/this-machine.ts";
import { maxUnixPathBytes } from "./wire/port/unix-socket.ts";

type TcpAddress = Exclude<ListenAddress, { readonly path: string }>;

/** The files of a TLS listener. All are read again on SIGHUP. */
export type TlsFiles = {
  readonly certificate: string;
  readonly key: string;
  readonly clientCa: string;
  readonly callers: string;
};

/** The public REST face, which no client certificate is asked for at. */
export type RestConfig = {
  readonly listen: TcpAddress;
  /** Null means plaintext. */
  readonly tls: Pick<TlsFiles, "certificate" | "key"> | null;
};

export type Config = {
  readonly listen: ListenAddress;
  /** Null turns the admin listener off. */
  readonly adminListen: TcpAddress | null;
  /** Null turns the public REST face off. */
  readonly rest: RestConfig | null;
  /** Null turns the operator's page off. */
  readonly consoleListen: TcpAddress | null;
  readonly dataDirectory: string;
  /** The file that keeps every revocation outside the database. */
  readonly revocationLog: string;
  /** The file that knows what the database was last. */
  readonly marker: string;
  /** `create` makes the file when it is not there. */
  readonly sealingSecret: { readonly file: string; readonly create: boolean };
  /** Null means plaintext. */
  readonly tls: TlsFiles | null;
  readonly plaintextRole: Role;
  readonly maxTokensPerAccount: number;
  readonly minFreeBytes: number;
  readonly maxConnections: number;
  /** What the connections of all threads may hold together of requests and answers. */
  readonly maxHeldBytes: number;
  readonly maxConcurrentStreams: number;
  readonly threads: number;
  /** For the keys that are kept in memory, all threads together. */
  readonly cacheBytes: number;
  readonly shutdownGraceMs: number;
  readonly allowClockBack: boolean;
  readonly logLevel: LogLevel;
  /** Null when calls are not traced. */
  readonly tracing: TracingSettings | null;
};

const logLevels = ["debug", "info", "warn", "error"] as const;
type LogLevel = (typeof logLevels)[number];

type Environment = Readonly<Record<string, string | undefined>>;

const prefix = "TOKEN_AUTHORITY_";
const mebibyte = 1024 * 1024;
const maxShownLength = 64;

/** Every setting: its default as one would write it (null: not set), and what `--help` says of it. */
const settings = {
  LISTEN: {
    fallback: "127.0.0.1:50051",
    help: "where RPCs are served: HOST:PORT or unix:/PATH; plaintext on loopback and unix sockets only",
  },
  ADMIN_LISTEN: {
    fallback: "127.0.0.1:9464",
    help: "where /metrics, /livez and /readyz are served, in plaintext: HOST:PORT or off",
  },
  REST_LISTEN: {
    fallback: "off",
    help: "where the public REST face is served: HOST:PORT or off; plaintext on loopback only",
  },
  REST_TLS_CERT: {
    fallback: null,
    help: "PEM file: the certificate of the REST face and its chain; goes with REST_TLS_KEY",
  },
  REST_TLS_KEY: { fallback: null, help: "PEM file: the private key of REST_TLS_CERT" },
  CONSOLE_LISTEN: {
    fallback: "off",
    help: "where the operator's page is served: HOST:PORT on loopback, or off; with the TLS and the callers of the RPCs",
  },
  DATA_DIR: { fallback: "./data", help: "the data directory, owned by one process at a time" },
  REVOCATION_LOG: {
    fallback: null,
    help: "file that keeps every revocation outside the database, best on another disk; when not set: DATA_DIR/revocations.log",
  },
  MARKER: {
    fallback: null,
    help: "file that notes the newest revision and time, by which a start knows a lost or old database; when not set: DATA_DIR.marker",
  },
  SEALING_SECRET: {
    fallback: null,
    help: "a file of 32 random bytes that seals keys for retries of Create; when not set: DATA_DIR.sealing-secret, which the first start makes",
  },
  TLS_CERT: {
    fallback: null,
    help: "PEM file: the server's certificate and its chain; the four TLS settings go together",
  },
  TLS_KEY: { fallback: null, help: "PEM file: the private key of TLS_CERT" },
  TLS_CLIENT_CA: { fallback: null, help: "PEM file: the authorities that sign callers' certificates" },
  CALLERS: {
    fallback: null,
    help: `JSON file: {"IDENTITY": "ROLE"}, an identity being a SPIFFE ID or DNS name, a role one of ${roles.join(", ")}`,
  },
  PLAINTEXT_ROLE: { fallback: "operator", help: `the role of plaintext callers: ${roles.join(", ")}` },
  MAX_TOKENS_PER_ACCOUNT: { fallback: "10000", help: "unrevoked, unexpired tokens of an account, 1 to 1000000" },
  MIN_FREE_MIB: { fallback: "64", help: "free disk, in MiB, below which Create is refused, 0 to 1048576" },
  MAX_CONNECTIONS: {
    fallback: null,
    help: "connections at once on the port of RPCs, 1 to 1000000; when not set: as many as a quarter of the memory has room for, at 80 KiB each, from 100 to 10000",
  },
  MAX_CONCURRENT_STREAMS: { fallback: "1000", help: "RPCs at once on one HTTP/2 connection, 1 to 100000" },
  THREADS: { fallback: "1", help: "threads that serve RPCs, 1 to 64; more than 1 needs Linux and a TCP address" },
  CACHE_MIB: { fallback: "64", help: "memory for keys that were decided on, in MiB, all threads together, 1 to 65536" },
  SHUTDOWN_GRACE_MS: { fallback: "10000", help: "how long calls may go on after SIGTERM, in ms, 0 to 600000" },
  CLOCK_BACK: {
    fallback: "refuse",
    help: "refuse or allow a start when the clock is more than 5 minutes before the newest change or the greatest time seen",
  },
  LOG_LEVEL: { fallback: "info", help: logLevels.join(", ") },
} as const;
export type SettingName = keyof typeof settings;

/** The settings as `--help` prints them: name, what it is with its range, default. */
export function describeSettings(): string {
  return Object.entries(settings)
    .map(([name, { help, fallback }]) => `  ${prefix}${name}\n      ${help}\n      default: ${fallback ?? "not set"}`)
    .join("\n");
}

/** Whether this variable of the environment is a setting. */
export function isSettingName(name: string): boolean {
  return name.startsWith(prefix) && Object.hasOwn(settings, name.slice(prefix.length));
}

/** Reads the configuration, or throws a StartError that names the setting and its rule. `memoryBytes` is what the process may use. */
export function readConfig(env: Environment, memoryBytes: number = Number.POSITIVE_INFINITY): Config {
  refuseUnknownNames(env);
  const listen = address(required(env, "LISTEN"));
  const tls = tlsFiles(env);
  if (tls === null && !("path" in listen) && !isThisMachine(listen.host)) {
    throw new StartError(
      `${prefix}LISTEN: plaintext is served on loopback addresses and unix sockets only: set ${prefix}TLS_CERT, ${prefix}TLS_KEY, ${prefix}TLS_CLIENT_CA and ${prefix}CALLERS to serve elsewhere`,
    );
  }
  if (tls !== null && "path" in listen) {
    throw new StartError(`${prefix}LISTEN: TLS is served on TCP addresses only: a unix socket needs none`);
  }
  const rest = restConfig(env, listen);
  const adminListen = tcpAddress(env, "ADMIN_LISTEN");
  const consoleListen = consoleAddress(env);
  refuseSharedPorts({
    LISTEN: "path" in listen ? null : listen,
    REST_LISTEN: rest?.listen ?? null,
    CONSOLE_LISTEN: consoleListen,
    ADMIN_LISTEN: adminListen,
  });
  return {
    listen,
    adminListen,
    rest,
    consoleListen,
    dataDirectory: resolve(required(env, "DATA_DIR")),
    revocationLog: revocationLog(env),
    marker: marker(env),
    sealingSecret: sealingSecret(env),
    tls,
    plaintextRole: oneOf(env, "PLAINTEXT_ROLE", roles),
    maxTokensPerAccount: integer(env, "MAX_TOKENS_PER_ACCOUNT", { min: 1, max: 1_000_000 }),
    minFreeBytes: integer(env, "MIN_FREE_MIB", { min: 0, max: 1_048_576 }) * mebibyte,
    maxConnections:
      read(env, "MAX_CONNECTIONS") === null
        ? affordableConnections(memoryBytes)
        : integer(env, "MAX_CONNECTIONS", { min: 1, max: 1_000_000 }),
    maxHeldBytes: Math.min(128 * mebibyte, memoryBytes / 8),
    maxConcurrentStreams: integer(env, "MAX_CONCURRENT_STREAMS", { min: 1, max: 100_000 }),
    threads: integer(env, "THREADS", { min: 1, max: 64 }),
    cacheBytes: integer(env, "CACHE_MIB", { min: 1, max: 65_536 }) * mebibyte,
    shutdownGraceMs: integer(env, "SHUTDOWN_GRACE_MS", { min: 0, max: 600_000 }),
    allowClockBack: oneOf(env, "CLOCK_BACK", ["refuse", "allow"]) === "allow",
    logLevel: oneOf(env, "LOG_LEVEL", logLevels),
    tracing: readTracingSettings(env),
  };
}

// Measured: 70 KiB for one over TLS that is idle.
const connectionBytes = 80 * 1024;

function affordableConnections(memoryBytes: number): number {
  return Math.min(10_000, Math.max(100, Math.floor(memoryBytes / 4 / connectionBytes)));
}

// What Kubernetes sets in every pod beside a Service called token-authority, or token-authority-SOMETHING. Its NAME_PORT is an
// address: with a number, it is what somebody took for a setting.
const kubernetesPattern =
  /^TOKEN_AUTHORITY_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST=|SERVICE_PORT(?:_[A-Z0-9_]+)?=|PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)=|PORT(?:_\d+_(?:TCP|UDP|SCTP))?=(?:tcp|udp|sctp):\/\/)/;

function refuseUnknownNames(env: Environment): void {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && !isSettingName(name) && !kubernetesPattern.test(`${name}=${value}`)) {
      const near = nearestWord(name.slice(prefix.length), Object.keys(settings));
      const meant = near === null ? "" : `, ${prefix}${near} is one`;
      throw new StartError(`${name}: there is no such setting${meant}: see npm start -- --help`);
    }
  }
}

/** An empty value is as good as none, so that a deployment can blank a setting. */
function read(env: Environment, name: SettingName): string | null {
  return env[prefix + name] || settings[name].fallback;
}

function required(env: Environment, name: SettingName): string {
  return read(env, name) ?? "";
}

function integer(env: Environment, name: SettingName, range: { readonly min: number; readonly max: number }): number {
  const text = required(env, name);
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.min && value <= range.max)) {
    throw new StartError(
      `${prefix}${name}: must be a whole number from ${range.min} to ${range.max}, and is ${quoted(text)}`,
    );
  }
  return value;
}

/** On one line, whatever it is. */
export function quoted(text: string): string {
  const shown = text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text;
  return JSON.stringify(shown);
}

function oneOf<T extends string>(env: Environment, name: SettingName, values: readonly T[]): T {
  const text = required(env, name);
  const value = values.find((one) => one === text);
  if (value === undefined) {
    throw new StartError(`${prefix}${name}: must be one of ${values.join(", ")}, and is ${quoted(text)}`);
  }
  return value;
}

function address(text: string): ListenAddress {
  const parsed = parseListenAddress(text);
  if (parsed === null) {
    throw new StartError(`${prefix}LISTEN: must be HOST:PORT, [IPV6]:PORT or unix:/PATH, and is ${quoted(text)}`);
  }
  if ("path" in parsed && Buffer.byteLength(parsed.path) > maxUnixPathBytes) {
    throw new StartError(`${prefix}LISTEN: a unix socket's path must be at most ${maxUnixPathBytes} bytes`);
  }
  return parsed;
}

function tcpAddress(env: Environment, name: "ADMIN_LISTEN" | "REST_LISTEN" | "CONSOLE_LISTEN"): TcpAddress | null {
  const text = required(env, name);
  if (text === "off") {
    return null;
  }
  const parsed = parseListenAddress(text);
  if (parsed === null || "path" in parsed) {
    throw new StartError(`${prefix}${name}: must be HOST:PORT, [IPV6]:PORT or off, and is ${quoted(text)}`);
  }
  return parsed;
}

function restConfig(env: Environment, rpc: ListenAddress): RestConfig | null {
  const listen = tcpAddress(env, "REST_LISTEN");
  const certificate = read(env, "REST_TLS_CERT");
  const key = read(env, "REST_TLS_KEY");
  if ((certificate === null) !== (key === null)) {
    const missing = certificate === null ? "REST_TLS_CERT" : "REST_TLS_KEY";
    throw new StartError(`${prefix}${missing}: must be set as well: REST_TLS_CERT and REST_TLS_KEY go together`);
  }
  if (listen === null) {
    return null;
  }
  // Threads may share a port, and two faces on one would share it too: a merchant would find the RPCs now and then.
  if (!("path" in rpc) && listen.port === rpc.port && listen.port !== 0) {
    throw new StartError(`${prefix}REST_LISTEN: must have another port than ${prefix}LISTEN`);
  }
  const tls = certificate === null || key === null ? null : { certificate, key };
  if (tls === null && !isThisMachine(listen.host)) {
    throw new StartError(
      `${prefix}REST_LISTEN: plaintext is served on loopback addresses only: set ${prefix}REST_TLS_CERT and ${prefix}REST_TLS_KEY to serve elsewhere`,
    );
  }
  return { listen, tls };
}

/** Two of our own would be told that another program listens there. */
function refuseSharedPorts(addresses: Partial<Record<SettingName, TcpAddress | null>>): void {
  const taken: { readonly name: string; readonly address: TcpAddress }[] = [];
  for (const [name, address] of Object.entries(addresses)) {
    if (address === null || address.port === 0) {
      continue;
    }
    const other = taken.find((one) => one.address.port === address.port && areOneHost(one.address.host, address.host));
    if (other !== undefined) {
      throw new StartError(`${prefix}${name}: must have another port than ${prefix}${other.name}`);
    }
    taken.push({ name, address });
  }
}

function areOneHost(one: string, other: string): boolean {
  const everywhere = ["0.0.0.0", "::"];
  return one === other || everywhere.includes(one) || everywhere.includes(other);
}

/** On loopback whatever the TLS: from elsewhere it is reached through a tunnel that this machine has let in. */
function consoleAddress(env: Environment): TcpAddress | null {
  const listen = tcpAddress(env, "CONSOLE_LISTEN");
  if (listen !== null && !isThisMachine(listen.host)) {
    throw new StartError(`${prefix}CONSOLE_LISTEN: the operator's page is served on loopback addresses only`);
  }
  return listen;
}

function tlsFiles(env: Environment): TlsFiles | null {
  const names = ["TLS_CERT", "TLS_KEY", "TLS_CLIENT_CA", "CALLERS"] as const;
  const [certificate, key, clientCa, callers] = names.map((name) => read(env, name));
  if (certificate && key && clientCa && callers) {
    return { certificate, key, clientCa, callers };
  }
  const missing = names.filter((name) => read(env, name) === null);
  if (missing.length < names.length) {
    throw new StartError(`${prefix}${missing[0]}: must be set as well: the four TLS settings go together`);
  }
  return null;
}

/** Where the environment says that a data directory's revocation log is, or else in the directory itself. */
export function revocationLog(env: Environment, dataDirectory = required(env, "DATA_DIR")): string {
  const file = read(env, "REVOCATION_LOG");
  return file === null ? dataFiles(dataDirectory).revocationLog : resolve(file);
}

/** Where the environment says that a data directory's marker is, or else beside the directory. */
export function marker(env: Environment, dataDirectory = required(env, "DATA_DIR")): string {
  const file = read(env, "MARKER");
  return file === null ? dataFiles(dataDirectory).marker : resolve(file);
}

/** Beside the data directory when no setting says where: a copy of the directory must not hold it. */
function sealingSecret(env: Environment): Config["sealingSecret"] {
  const file = read(env, "SEALING_SECRET");
  return file === null
    ? { file: `${resolve(required(env, "DATA_DIR"))}.sealing-secret`, create: true }
    : { file: resolve(file), create: false };
}
