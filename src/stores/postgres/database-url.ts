import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { readPrivateFile } from "../../machine/private-file.ts";
import { StartError } from "../../machine/start-error.ts";

export type DatabaseHost = {
  /** A name, an address, or the directory of a Unix socket, which begins with a slash. */
  readonly host: string;
  readonly port: number;
};

/** Where the database is and how to get in. Can be sent to another thread. Holds secrets: never logged. */
export type DatabaseSettings = {
  /** One database of one cluster: whichever of them takes writes is used. */
  readonly hosts: readonly DatabaseHost[];
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  /** Null where no TLS is spoken: on loopback and on Unix sockets only. */
  readonly tls: DatabaseTls | null;
  /** What the sessions are called on the server. */
  readonly nodeName: string;
};

/** PEM texts. */
export type DatabaseTls = {
  /** Who may have signed the server's certificate. Null means whom the system trusts. */
  readonly authorities: string | null;
  /** The client's certificate with its key, which the server may take instead of a password. */
  readonly client: { readonly certificate: string; readonly key: string } | null;
};

const defaultPort = 5432;
const maxHosts = 16;
const parameterNames = ["host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"] as const;
type ParameterName = (typeof parameterNames)[number];
type Parameters = { readonly [name in ParameterName]?: string };

/** The setting in the words of its errors, which never repeat the URL: a password may be in it. */
const shape = "must be postgres://USER@HOST[:PORT][,HOST[:PORT]]/DATABASE[?sslmode=verify-full&sslrootcert=FILE]";

/**
 * Reads postgres://USER@HOST[:PORT][,HOST…]/DATABASE[?host=/SOCKET/DIRECTORY&port=…&sslmode=verify-full&sslrootcert=
 * FILE&sslcert=FILE&sslkey=FILE]. The password comes from `passwordFile`, or else from .pgpass in the home directory.
 * Throws a StartError that names the rule.
 */
export function readDatabaseSettings(url: string, passwordFile: string | null, nodeName: string): DatabaseSettings {
  // The last @ ends the user: a password with one in it must not be taken for a host, which errors name.
  const parts =
    /^postgres(?:ql)?:\/\/(?:(?<user>[^/]*)@)?(?<hosts>[^@/?]*)\/(?<database>[^/?]*)(?:\?(?<query>.*))?$/s.exec(
      url,
    )?.groups;
  if (parts === undefined) {
    throw refused(shape);
  }
  const { user = "", hosts = "", database = "", query = "" } = parts;
  if (user.includes(":")) {
    throw refused(
      "must not hold a password, which others could read: put it into the file of TOKEN_AUTHORITY_DATABASE_PASSWORD",
    );
  }
  if (user === "" || database === "") {
    throw refused(`${shape}: USER and DATABASE are needed`);
  }
  const parameters = readParameters(query);
  const found = {
    hosts: readHosts(hosts, parameters),
    database: decode(database),
    user: decode(user),
    nodeName,
  };
  return {
    ...found,
    tls: readTls(found.hosts, parameters),
    password: passwordFile === null ? findInPasswordFile(found) : readPassword(passwordFile),
  };
}

/** Whether nothing but this machine is on the way. */
function isLocalHost(host: string): boolean {
  return isSocket(host) || host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

export function isSocket(host: string): boolean {
  return host.startsWith("/");
}

function readParameters(query: string): Parameters {
  const parameters: { [name in ParameterName]?: string } = {};
  for (const part of query === "" ? [] : query.split("&")) {
    const name = parameterNames.find((one) => part.startsWith(`${one}=`));
    if (name === undefined || parameters[name] !== undefined) {
      throw refused(`takes these parameters, each once: ${parameterNames.join(", ")}`);
    }
    parameters[name] = decode(part.slice(name.length + 1));
  }
  return parameters;
}

function readHosts(authority: string, parameters: Parameters): readonly DatabaseHost[] {
  if ((authority === "") === (parameters.host === undefined)) {
    throw refused(`${shape}: hosts are named before the database, or as host=, and not in both places`);
  }
  if (parameters.host !== undefined) {
    const port = readPort(parameters.port);
    return parameters.host.split(",").map((host) => ({ host: requireHost(host), port }));
  }
  if (parameters.port !== undefined) {
    throw refused("takes port= only with host=");
  }
  const hosts = authority.split(",").map((one) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(.*))?$/.exec(one) ?? [];
    return { host: requireHost(decode(bracketed ?? plain ?? "")), port: readPort(port) };
  });
  if (hosts.length > maxHosts) {
    throw refused(`takes at most ${maxHosts} hosts`);
  }
  return hosts;
}

function requireHost(host: string): string {
  if (!isSocket(host) && isIP(host) === 0 && !/^[\w.-]{1,255}$/.test(host)) {
    throw refused("holds a host that is neither a name, an address ([…] around IPv6) nor a directory");
  }
  return host;
}

function readPort(text: string | undefined): number {
  const port = text === undefined ? defaultPort : Number(text);
  if ((text !== undefined && !/^\d{1,5}$/.test(text)) || port < 1 || port > 65_535) {
    throw refused("holds a port that is no number from 1 to 65535");
  }
  return port;
}

function readTls(hosts: readonly DatabaseHost[], parameters: Parameters): DatabaseTls | null {
  const { sslmode, sslrootcert, sslcert, sslkey } = parameters;
  const remote = hosts.find(({ host }) => !isLocalHost(host));
  if (sslmode !== "verify-full") {
    if (remote !== undefined) {
      throw refused(`must say sslmode=verify-full: ${remote.host} is another machine`);
    }
    if (sslmode !== undefined && sslmode !== "disable") {
      throw refused("takes sslmode=verify-full, or sslmode=disable on this machine");
    }
    if (sslrootcert !== undefined || sslcert !== undefined || sslkey !== undefined) {
      throw refused("takes sslrootcert, sslcert and sslkey only with sslmode=verify-full");
    }
    return null;
  }
  if ((sslcert === undefined) !== (sslkey === undefined)) {
    throw refused("must name both sslcert and sslkey, or neither");
  }
  return {
    authorities: sslrootcert === undefined || sslrootcert === "system" ? null : readText(sslrootcert),
    client:
      sslcert === undefined || sslkey === undefined
        ? null
        : {
            certificate: readText(sslcert),
            key: readPrivateFile(sslkey, "the key of the database's client certificate").toString(),
          },
  };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "unknown";
    throw new StartError(`${file}, which TOKEN_AUTHORITY_DATABASE names, cannot be read (${code})`, { cause: error });
  }
}

/** The first line of the file. */
function readPassword(file: string): string {
  const [password = ""] = readPrivateFile(file, "the database's password").toString("utf8").split(/\r?\n/, 1);
  if (password === "") {
    throw new StartError(`${file}: the database's password must be its first line`);
  }
  return password;
}

/** The first fitting line of .pgpass, as PostgreSQL's own programs read it: host:port:database:user:password. */
function findInPasswordFile(wanted: Pick<DatabaseSettings, "hosts" | "database" | "user">): string | null {
  const file = join(homedir(), ".pgpass");
  try {
    readFileSync(file);
  } catch {
    return null;
  }
  const lines = readPrivateFile(file, "passwords of databases").toString("utf8").split(/\r?\n/);
  for (const line of lines) {
    const fields = line.startsWith("#") ? [] : splitEscaped(line);
    const [host, port, database, user, password] = fields;
    const fits = (field: string | undefined, value: string) => field === "*" || field === value;
    const isOfHost = wanted.hosts.some(
      (one) => fits(host, isSocket(one.host) ? "localhost" : one.host) && fits(port, String(one.port)),
    );
    if (password !== undefined && isOfHost && fits(database, wanted.database) && fits(user, wanted.user)) {
      return password;
    }
  }
  return null;
}

/** Splits at colons. A backslash takes the character after it as it is. */
function splitEscaped(line: string): readonly string[] {
  const fields = [""];
  for (let at = 0; at < line.length; at += 1) {
    const isEscaped = line[at] === "\\";
    at += isEscaped ? 1 : 0;
    if (line[at] === ":" && !isEscaped) {
      fields.push("");
    } else {
      fields[fields.length - 1] += line[at] ?? "";
    }
  }
  return fields;
}

function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text);
    if (!decoded.includes("\0")) {
      return decoded;
    }
  } catch {
    // Told below, without the text.
  }
  throw refused("holds a % that is not followed by two hexadecimal digits of UTF-8");
}

function refused(rule: string): StartError {
  return new StartError(`TOKEN_AUTHORITY_DATABASE ${rule}`);
}
