import { resolve } from "node:path";
import { type Role, roles } from "./authority/caller.ts";
import type { TlsFiles } from "./calls/port/tls-set.ts";
import { nearestWord } from "./machine/nearest-word.ts";
import { oneOf, path, type SettingKind, wholeNumber } from "./machine/setting-kind.ts";
import { StartError } from "./machine/start-error.ts";
import type { UpstreamSettings } from "./stores/upstream/upstream.ts";
import { readTracingSettings } from "./telemetry/opentelemetry/read-tracing-settings.ts";
import type { TracingSettings } from "./telemetry/opentelemetry/tracing-settings.ts";
import { version } from "./version.ts";
import { type ListenAddress, parseListenAddress } from "./wire/port/listen-address.ts";
import { isThisMachine } from "./wire/port/this-machine.ts";
import { maxUnixPathBytes } from "./wire/port/unix-socket.ts";

type TcpAddress = Exclude<ListenAddress, { readonly path: string }>;

/** The port of the RPCs and of the gateways. */
export type RpcConfig = {
  readonly listen: ListenAddress;
  /** Null means plaintext. */
  readonly tls: TlsFiles | null;
  readonly plaintextRole: Role;
  readonly maxConnections: number;
  readonly maxConcurrentStreams: number;
  /** Threads that serve this port; possibleThreads says how many can. */
  readonly threads: number;
};

/** The public REST API, which no client certificate is asked for at. */
export type RestConfig = {
  readonly listen: TcpAddress;
  /** Null means plaintext. */
  readonly tls: Pick<TlsFiles, "certificate" | "key"> | null;
};

/** Of a process that is one of the nodes over a database in PostgreSQL. */
export type DatabaseConfig = {
  /** As it was written; what it must be is judged where it is read. */
  readonly url: string;
  /** A file; null where no setting names one. */
  readonly password: string | null;
  /** What the nodes of this process are called, each with its thread's number; null: host and process. */
  readonly nodeName: string | null;
  /** For how long memory may go on without the database. */
  readonly graceMs: number;
};

export type StoreConfig = {
  readonly directory: string;
  /** The file that keeps what was taken away outside the database; null: where the store keeps it. */
  readonly revocationLog: string | null;
  /** The file that knows what the database was last; null: where the store keeps it. */
  readonly marker: string | null;
  readonly minFreeBytes: number;
};

/** Every setting, cut as the parts take them. */
export type Config = {
  readonly rpc: RpcConfig;
  /** Null turns the public REST API off. */
  readonly rest: RestConfig | null;
  /** Null turns the console off. */
  readonly console: { readonly listen: TcpAddress } | null;
  /** Null turns the admin listener off. */
  readonly admin: { readonly listen: TcpAddress } | null;
  /** The authority that an edge asks in place of a store; null where there is a store. */
  readonly upstream: UpstreamSettings | null;
  /** Null where the database is SQLite's, or there is none. */
  readonly database: DatabaseConfig | null;
  /** Of SQLite's store alone. */
  readonly store: StoreConfig;
  /** `create` makes the file when it is not there. */
  readonly sealingSecret: { readonly file: string; readonly create: boolean };
  readonly maxTokensPerAccount: number;
  /** Of new live secret and restricted tokens; null means no limit. */
  readonly maxLifetimeDays: number | null;
  /** Of all threads together. */
  readonly memory: {
    /** For the keys that are kept. */
    readonly cacheBytes: number;
    /** What the connections may hold of requests and answers. */
    readonly heldBytes: number;
  };
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
const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const maxShownLength = 64;

/** What the memory has room for when no setting says how many. Measured: 70 KiB for one over TLS that is idle. */
const affordable = { least: 100, most: 10_000, kibibytesEach: 80 };

type Words = {
  readonly help: string;
  /** What stands in for it when it is not set. */
  readonly whenNotSet?: string | undefined;
  /** What a person asks who changes it, for the page alone. */
  readonly more?: string | undefined;
};

/** One variable of the environment. */
type Setting<T> = Words & {
  readonly name: string;
  readonly kind: SettingKind<unknown>;
  /** As one would write it; null: not set. */
  readonly fallback: string | null;
  /** Throws a StartError that names the setting and its rule. */
  read(env: Environment): T;
};

/** An empty value is as good as none, so that a deployment can blank a setting. */
function setting<T>(suffix: string, kind: SettingKind<T>, fallback: string, words: Words): Setting<T> {
  const name = prefix + suffix;
  return { ...words, name, kind, fallback, read: (env) => parse(name, kind, env[name] || fallback) };
}

/** A setting without a default: null where it is not set. */
function optional<T>(suffix: string, kind: SettingKind<T>, words: Words): Setting<T | null> {
  const name = prefix + suffix;
  return {
    ...words,
    name,
    kind,
    fallback: null,
    read(env) {
      const text = env[name] || null;
      return text === null ? null : parse(name, kind, text);
    },
  };
}

function parse<T>(name: string, kind: SettingKind<T>, text: string): T {
  const value = kind.read(text);
  if (value === null) {
    throw new StartError(`${name}: must be ${kind.words}, and is ${quoted(text)}`);
  }
  return value;
}

const anyAddress: SettingKind<ListenAddress> = {
  words: "HOST:PORT, [IPV6]:PORT or unix:/PATH",
  read: parseListenAddress,
};

/** As it is written: the name is also the one in the authority's certificate. */
const upstreamAddress: SettingKind<string> = {
  words: anyAddress.words,
  read(text) {
    const address = parseListenAddress(text);
    return address === null || ("port" in address && address.port === 0) ? null : text;
  },
};

const tcpAddressOrOff: SettingKind<TcpAddress | "off"> = {
  words: "HOST:PORT, [IPV6]:PORT or off",
  read(text) {
    if (text === "off") {
      return text;
    }
    const address = parseListenAddress(text);
    return address === null || "path" in address ? null : address;
  },
};

const pemFile = path("a PEM file");

/** Judged where its files are read. A wrong one may hold a password, and is never shown. */
const databaseUrl: SettingKind<string> = {
  words: "postgres://USER@HOST[:PORT][,HOST…]/NAME",
  read: (text) => text,
};

/** It is an application name of PostgreSQL, with the number of a thread behind it. */
const nodeName: SettingKind<string> = {
  words: "1 to 48 printable ASCII characters without a space",
  read: (text) => (/^[!-~]{1,48}$/.test(text) ? text : null),
};

const listening = {
  rpc: setting("LISTEN", anyAddress, "127.0.0.1:50051", {
    help: "where RPCs are served; plaintext on loopback and unix sockets only",
  }),
  admin: setting("ADMIN_LISTEN", tcpAddressOrOff, "127.0.0.1:9464", {
    help: "where /metrics, /livez and /readyz are served, in plaintext",
  }),
  rest: setting("REST_LISTEN", tcpAddressOrOff, "off", {
    help: "where the public REST API is served; plaintext on loopback only",
  }),
  console: setting("CONSOLE_LISTEN", tcpAddressOrOff, "off", {
    help: "where the console is served, on loopback only; with the TLS and the callers of the RPCs",
  }),
};

/** Which settings say where to listen: what stands in errors about a place. */
export const listenSettings = {
  rpc: { name: listening.rpc.name, canBeOff: false },
  rest: { name: listening.rest.name, canBeOff: true },
  console: { name: listening.console.name, canBeOff: true },
  admin: { name: listening.admin.name, canBeOff: true },
};

const callers = {
  certificate: optional("TLS_CERT", pemFile, {
    help: "the server's certificate and its chain; the four TLS settings go together",
  }),
  key: optional("TLS_KEY", pemFile, { help: "the private key of TLS_CERT" }),
  clientCa: optional("TLS_CLIENT_CA", pemFile, { help: "the CAs that sign callers' certificates" }),
  callers: optional("CALLERS", path("a JSON file"), {
    help: `{"IDENTITY": "ROLE"}, an identity being a SPIFFE ID or DNS name, a role one of ${roles.join(", ")}`,
  }),
  plaintextRole: setting("PLAINTEXT_ROLE", oneOf(roles), "operator", { help: "the role of plaintext callers" }),
  restCertificate: optional("REST_TLS_CERT", pemFile, {
    help: "the certificate of the REST API and its chain; goes with REST_TLS_KEY",
  }),
  restKey: optional("REST_TLS_KEY", pemFile, { help: "the private key of REST_TLS_CERT" }),
};

const edge = {
  address: optional("UPSTREAM", upstreamAddress, {
    help: "the authority that this process asks: it decides from memory under a lease, and keeps nothing on disk",
    whenNotSet: "no edge, but an authority with a store",
    more: "See docs/edge.md. The certificates are read again for each connection.",
  }),
  ca: optional("UPSTREAM_CA", pemFile, {
    help: "the CAs that sign the authority's certificate; the three UPSTREAM files go together",
    whenNotSet: "plaintext, to loopback addresses and unix sockets only",
  }),
  cert: optional("UPSTREAM_CERT", pemFile, { help: "the certificate that the edge shows the authority" }),
  key: optional("UPSTREAM_KEY", pemFile, { help: "the private key of UPSTREAM_CERT" }),
};

const storage = {
  directory: setting("DATA_DIR", path("a directory"), "./data", {
    help: "the data directory, owned by one process at a time",
  }),
  revocationLog: optional("REVOCATION_LOG", path("a file"), {
    help: "keeps every revocation, end of a key, hold and closure outside the database, best on another disk",
    whenNotSet: "DATA_DIR/revocations.log",
  }),
  marker: optional("MARKER", path("a file"), {
    help: "notes the newest revision and time, by which a start knows a lost or old database",
    whenNotSet: "DATA_DIR.marker",
    more: "Put the marker where neither the data directory nor its copies are.",
  }),
  sealingSecret: optional("SEALING_SECRET", path("a file of 32 random bytes"), {
    help: "seals keys for retries of Create",
    whenNotSet: "DATA_DIR.sealing-secret, which the first start makes",
    more: "With DATABASE, all nodes need the same one, and no start makes it.",
  }),
  minFree: setting("MIN_FREE_MIB", wholeNumber(0, 1_048_576), "64", {
    help: "free disk, in MiB, below which Create is refused",
  }),
};

const database = {
  url: optional("DATABASE", databaseUrl, {
    help: "the PostgreSQL database that many nodes serve together; TLS is verified, but on loopback and unix sockets",
    whenNotSet: "SQLite in DATA_DIR, served by one process",
    more: "Its password is in DATABASE_PASSWORD or .pgpass, or a client certificate is: see docs/many-machines.md. `npm run migrate` makes its tables.",
  }),
  password: optional("DATABASE_PASSWORD", path("a file"), { help: "the password of DATABASE's user" }),
  nodeName: optional("NODE_NAME", nodeName, {
    help: "what this process is called where nodes are shown; each thread has its number behind it",
    whenNotSet: "HOST:PID",
  }),
  grace: setting("GRACE_MS", wholeNumber(0, 600_000), "0", {
    help: "for how long, in ms, memory may be decided from while the database cannot be reached",
    more: "A revocation that is answered meanwhile elsewhere is not known here: `unconfirmed` lists who may not know of it.",
  }),
};

const limits = {
  maxTokensPerAccount: setting("MAX_TOKENS_PER_ACCOUNT", wholeNumber(1, 1_000_000), "10000", {
    help: "unrevoked, unexpired tokens of an account",
  }),
  maxLifetimeDays: optional("MAX_LIFETIME_DAYS", wholeNumber(1, 36_500), {
    help: "how many days ahead a new live secret or restricted token must expire at the latest",
    whenNotSet: "no limit",
    more: "Tokens that exist are left as they are, also where the limit is lowered.",
  }),
  maxConnections: optional("MAX_CONNECTIONS", wholeNumber(1, 1_000_000), {
    help: "connections at once on the port of RPCs",
    whenNotSet: `as many as a quarter of the memory has room for, at ${affordable.kibibytesEach} KiB each, from ${affordable.least} to ${affordable.most}`,
    more: "Fixed: 1000 on the port of the REST API, 100 on that of the console, and 100 of callers without an identity.",
  }),
  maxConcurrentStreams: setting("MAX_CONCURRENT_STREAMS", wholeNumber(1, 100_000), "1000", {
    help: "RPCs at once on one HTTP/2 connection",
  }),
  threads: setting("THREADS", wholeNumber(1, 64), "1", {
    help: "threads that serve RPCs; more than 1 needs Linux and a TCP address",
    more: "The REST API has a thread of its own.",
  }),
  cache: setting("CACHE_MIB", wholeNumber(1, 65_536), "64", {
    help: "memory for keys that were decided on, in MiB, all threads together",
    more: "An eighth of it is for unknown keys. Answers to Envoy take up to a half more, and the REST API an eighth.",
  }),
};

const startAndEnd = {
  shutdownGrace: setting("SHUTDOWN_GRACE_MS", wholeNumber(0, 600_000), "10000", {
    help: "how long calls may go on after SIGTERM, in ms; for a fifth of it one of many nodes takes new ones too",
  }),
  clockBack: setting("CLOCK_BACK", oneOf(["refuse", "allow"]), "refuse", {
    help: "whether a start is refused when the clock is more than 5 minutes before the newest change or the greatest time seen",
  }),
  logLevel: setting("LOG_LEVEL", oneOf(logLevels), "info", { help: "the least level of a log line" }),
};

/** One setting, as it is told to people: "must be" goes before `words`. */
export type DescribedSetting = Words & Pick<Setting<unknown>, "name" | "fallback"> & { readonly words: string };

export type SettingGroup = { readonly title: string; readonly settings: readonly DescribedSetting[] };

/** Every setting, in the order in which people are told of them. */
export const settingGroups: readonly SettingGroup[] = [
  group("Where it listens", listening),
  group("Who may call", callers),
  group("What it keeps", storage),
  group("Many machines: a database in PostgreSQL", database),
  group("An edge: an authority to ask in place of a store", edge),
  group("Limits", limits),
  group("Start and end", startAndEnd),
];

function group(title: string, settings: Readonly<Record<string, Setting<unknown>>>): SettingGroup {
  return { title, settings: Object.values(settings).map(({ kind, ...one }) => ({ ...one, words: kind.words })) };
}

const settingNames: readonly string[] = settingGroups.flatMap(({ settings }) => settings.map(({ name }) => name));

/** The settings as `--help` prints them: name, what it is, its range, default. */
export function describeSettings(): string {
  const describe = ({ name, help, words, ...one }: DescribedSetting) =>
    `  ${name}\n      ${help}\n      ${words}; default: ${defaultOf(one)}`;
  return settingGroups.map(({ title, settings }) => `${title}:\n${settings.map(describe).join("\n")}`).join("\n\n");
}

/** What holds when a setting is not set, in words. */
export function defaultOf({ fallback, whenNotSet }: Pick<DescribedSetting, "fallback" | "whenNotSet">): string {
  return fallback ?? whenNotSet ?? "not set";
}

/** Whether this variable of the environment is a setting. */
export function isSettingName(name: string): boolean {
  return settingNames.includes(name);
}

/**
 * Reads the configuration, or throws a StartError that names the setting and its rule. `memoryBytes` is what the
 * process may use.
 */
export function readConfig(env: Environment, memoryBytes: number = Number.POSITIVE_INFINITY): Config {
  refuseUnknownNames(env);
  const rpc = rpcConfig(env, memoryBytes);
  const rest = restConfig(env, rpc.listen);
  const admin = tcpAddress(env, listening.admin);
  const console = consoleAddress(env);
  const elsewhere = filesElsewhere(env);
  const upstream = upstreamSettings(env);
  const ofDatabase = databaseConfig(env);
  refuseSharedPorts([
    [listening.rpc, "path" in rpc.listen ? null : rpc.listen],
    [listening.rest, rest?.listen ?? null],
    [listening.console, console],
    [listening.admin, admin],
  ]);
  return {
    rpc,
    rest,
    console: console === null ? null : { listen: console },
    admin: admin === null ? null : { listen: admin },
    upstream,
    database: ofDatabase,
    store: {
      directory: resolve(storage.directory.read(env)),
      revocationLog: elsewhere.revocationLog,
      marker: elsewhere.marker,
      minFreeBytes: storage.minFree.read(env) * mebibyte,
    },
    sealingSecret: sealingSecret(env, ofDatabase !== null),
    maxTokensPerAccount: limits.maxTokensPerAccount.read(env),
    maxLifetimeDays: limits.maxLifetimeDays.read(env),
    memory: {
      cacheBytes: limits.cache.read(env) * mebibyte,
      heldBytes: Math.min(128 * mebibyte, memoryBytes / 8),
    },
    shutdownGraceMs: startAndEnd.shutdownGrace.read(env),
    allowClockBack: startAndEnd.clockBack.read(env) === "allow",
    logLevel: startAndEnd.logLevel.read(env),
    tracing: readTracingSettings(env, version),
  };
}

// What Kubernetes sets in every pod beside a Service called token-authority, or token-authority-SOMETHING. Its
// NAME_PORT is an address: with a number, a person meant it as a setting.
const kubernetesPattern =
  /^TOKEN_AUTHORITY_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST=|SERVICE_PORT(?:_[A-Z0-9_]+)?=|PORT_\d+_(?:TCP|UDP|SCTP)_(?:PROTO|PORT|ADDR)=|PORT(?:_\d+_(?:TCP|UDP|SCTP))?=(?:tcp|udp|sctp):\/\/)/;

function refuseUnknownNames(env: Environment): void {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && !isSettingName(name) && !kubernetesPattern.test(`${name}=${value}`)) {
      const suffixes = settingNames.map((one) => one.slice(prefix.length));
      const near = nearestWord(name.slice(prefix.length), suffixes);
      const meant = near === null ? "" : `, ${prefix}${near} is one`;
      throw new StartError(`${name}: there is no such setting${meant}: see npm start -- --help`);
    }
  }
}

/** On one line, whatever it is. */
export function quoted(text: string): string {
  const shown = text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text;
  return JSON.stringify(shown);
}

function rpcConfig(env: Environment, memoryBytes: number): RpcConfig {
  const listen = listening.rpc.read(env);
  const { name } = listening.rpc;
  if ("path" in listen && Buffer.byteLength(listen.path) > maxUnixPathBytes) {
    throw new StartError(`${name}: a unix socket's path must be at most ${maxUnixPathBytes} bytes`);
  }
  const tls = tlsFiles(env);
  if (tls === null && !("path" in listen) && !isThisMachine(listen.host)) {
    throw new StartError(
      `${name}: plaintext is served on loopback addresses and unix sockets only: set ${callers.certificate.name}, ${callers.key.name}, ${callers.clientCa.name} and ${callers.callers.name} to serve elsewhere`,
    );
  }
  if (tls !== null && "path" in listen) {
    throw new StartError(`${name}: TLS is served on TCP addresses only: a unix socket needs none`);
  }
  return {
    listen,
    tls,
    plaintextRole: callers.plaintextRole.read(env),
    maxConnections: limits.maxConnections.read(env) ?? affordableConnections(memoryBytes),
    maxConcurrentStreams: limits.maxConcurrentStreams.read(env),
    threads: limits.threads.read(env),
  };
}

function affordableConnections(memoryBytes: number): number {
  const { least, most, kibibytesEach } = affordable;
  return Math.min(most, Math.max(least, Math.floor(memoryBytes / 4 / (kibibytesEach * kibibyte))));
}

function tcpAddress(env: Environment, one: Setting<TcpAddress | "off">): TcpAddress | null {
  const address = one.read(env);
  return address === "off" ? null : address;
}

function restConfig(env: Environment, rpc: ListenAddress): RestConfig | null {
  const listen = tcpAddress(env, listening.rest);
  const certificate = callers.restCertificate.read(env);
  const key = callers.restKey.read(env);
  if ((certificate === null) !== (key === null)) {
    const missing = certificate === null ? callers.restCertificate : callers.restKey;
    throw new StartError(`${missing.name}: must be set as well: REST_TLS_CERT and REST_TLS_KEY go together`);
  }
  if (listen === null) {
    return null;
  }
  // Threads may share a port, and two doors on one would share it too: a merchant would find the RPCs now and then.
  if (!("path" in rpc) && listen.port === rpc.port && listen.port !== 0) {
    throw new StartError(`${listening.rest.name}: must have another port than ${listening.rpc.name}`);
  }
  const tls = certificate === null || key === null ? null : { certificate, key };
  if (tls === null && !isThisMachine(listen.host)) {
    throw new StartError(
      `${listening.rest.name}: plaintext is served on loopback addresses only: set ${callers.restCertificate.name} and ${callers.restKey.name} to serve elsewhere`,
    );
  }
  return { listen, tls };
}

/** Two of our own would be told that another program listens there. */
function refuseSharedPorts(places: readonly (readonly [Setting<unknown>, TcpAddress | null])[]): void {
  const taken: { readonly name: string; readonly address: TcpAddress }[] = [];
  for (const [{ name }, address] of places) {
    if (address === null || address.port === 0) {
      continue;
    }
    const other = taken.find((one) => one.address.port === address.port && areOneHost(one.address.host, address.host));
    if (other !== undefined) {
      throw new StartError(`${name}: must have another port than ${other.name}`);
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
  const listen = tcpAddress(env, listening.console);
  if (listen !== null && !isThisMachine(listen.host)) {
    throw new StartError(`${listening.console.name}: the console is served on loopback addresses only`);
  }
  return listen;
}

function tlsFiles(env: Environment): TlsFiles | null {
  const together = [callers.certificate, callers.key, callers.clientCa, callers.callers];
  const [certificate, key, clientCa, callersFile] = together.map((one) => one.read(env));
  if (certificate && key && clientCa && callersFile) {
    return { certificate, key, clientCa, callers: callersFile };
  }
  const missing = together.filter((one) => one.read(env) === null);
  if (missing.length < together.length) {
    throw new StartError(`${missing[0]?.name}: must be set as well: the four TLS settings go together`);
  }
  return null;
}

/** What only an authority with a store has a use for. */
const ofStore = [
  ...Object.values(storage),
  ...Object.values(database),
  listening.rest,
  listening.console,
  callers.restCertificate,
  callers.restKey,
  limits.maxTokensPerAccount,
  limits.maxLifetimeDays,
  startAndEnd.clockBack,
];

function upstreamSettings(env: Environment): UpstreamSettings | null {
  const address = edge.address.read(env);
  const [ca, cert, key] = [edge.ca, edge.cert, edge.key].map((one) => one.read(env));
  if (address === null) {
    const stray = [edge.ca, edge.cert, edge.key].find((one) => one.read(env) !== null);
    if (stray !== undefined) {
      throw new StartError(`${stray.name}: is of no use without ${edge.address.name}`);
    }
    return null;
  }
  const meant = ofStore.find(({ name }) => env[name] && env[name] !== "off");
  if (meant !== undefined) {
    throw new StartError(
      `${meant.name}: must not be set together with ${edge.address.name}: an edge decides on keys, and has no store, no REST API and no console`,
    );
  }
  if (ca && cert && key) {
    return { address, tls: { ca, cert, key } };
  }
  const missing = [edge.ca, edge.cert, edge.key].filter((one) => one.read(env) === null);
  if (missing.length < 3) {
    throw new StartError(`${missing[0]?.name}: must be set as well: the three UPSTREAM files go together`);
  }
  const target = parseListenAddress(address);
  if (target !== null && "host" in target && !isThisMachine(target.host)) {
    throw new StartError(
      `${edge.address.name}: plaintext is for loopback addresses and unix sockets only: set ${edge.ca.name}, ${edge.cert.name} and ${edge.key.name}`,
    );
  }
  return { address, tls: null };
}

/** What only SQLite's store has a use for. */
const ofSqlite = [storage.revocationLog, storage.marker, storage.minFree];

function databaseConfig(env: Environment): DatabaseConfig | null {
  const url = database.url.read(env);
  const graceMs = database.grace.read(env);
  const [password, name] = [database.password.read(env), database.nodeName.read(env)];
  if (url === null) {
    const stray = [database.password, database.nodeName, database.grace].find((one) => env[one.name]);
    if (stray !== undefined) {
      throw new StartError(`${stray.name}: is of no use without ${database.url.name}`);
    }
    return null;
  }
  const meant = ofSqlite.find((one) => env[one.name]);
  if (meant !== undefined) {
    throw new StartError(
      `${meant.name}: must not be set together with ${database.url.name}: nothing is kept on this machine's disk`,
    );
  }
  return { url, password: resolved(password), nodeName: name, graceMs };
}

/** Which files of the store the environment says are elsewhere, for a command that is told the data directory. */
export function filesElsewhere(env: Environment): Pick<StoreConfig, "revocationLog" | "marker"> {
  return { revocationLog: resolved(storage.revocationLog.read(env)), marker: resolved(storage.marker.read(env)) };
}

/** The file with the password of a database, for a command that is told the database. */
export function databasePassword(env: Environment): string | null {
  return resolved(database.password.read(env));
}

/** Where the sealing secret of a data directory is, for a command that is told the directory. */
export function sealingSecretOf(env: Environment, directory: string): string {
  return resolve(storage.sealingSecret.read(env) ?? `${resolve(directory)}.sealing-secret`);
}

function resolved(file: string | null): string | null {
  return file === null ? null : resolve(file);
}

/**
 * Beside the data directory when no setting says where: a copy of the directory must not hold it. All nodes of a
 * database have one and the same, so that none of them makes it.
 */
function sealingSecret(env: Environment, isShared: boolean): Config["sealingSecret"] {
  const file = storage.sealingSecret.read(env);
  return file === null
    ? { file: `${resolve(storage.directory.read(env))}.sealing-secret`, create: !isShared }
    : { file: resolve(file), create: false };
}
