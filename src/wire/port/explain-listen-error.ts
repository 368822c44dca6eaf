import { StartError } from "../../machine/start-error.ts";
import { formatListenAddress, type ListenAddress } from "./listen-address.ts";

/** A place to listen at, and the variable of the environment that says it. */
export type ListenSetting = {
  readonly name: string;
  /** Whether the variable may say that nobody shall listen. */
  readonly canBeOff: boolean;
};

/**
 * What is wrong with the place of a listener, and what to do about it, in one line that names the setting. Any other
 * error as it is.
 */
export function explainListenError(setting: ListenSetting, address: ListenAddress, error: unknown): unknown {
  if (!(error instanceof Error && "code" in error && "syscall" in error)) {
    return error;
  }
  const rule = "path" in address ? ofSocketFile(address.path, error.code) : ofPort(setting, address, error.code);
  return new StartError(`${setting.name}: cannot listen on ${formatListenAddress(address)}: ${rule ?? error.message}`, {
    cause: error,
  });
}

function ofPort(
  { name, canBeOff }: ListenSetting,
  { host, port }: { readonly host: string; readonly port: number },
  code: unknown,
): string | null {
  switch (code) {
    case "EADDRINUSE": {
      const other = formatListenAddress({ host, port: port < 65_535 ? port + 1 : port - 1 });
      const off = canBeOff ? ", or to off" : "";
      const whose = port === 9464 ? " (9464 is what every exporter of OpenTelemetry takes)" : "";
      // A connection alone is enough, or one that ended within the last minute: Linux gives them ports from 32768 on.
      return `another program listens there${whose}, or a connection has the port: end it, or set ${name} to another port, such as ${other}${off}`;
    }
    case "EACCES":
      return `this user may not listen on port ${port}: set ${name} to a port from 1024 on, or allow it with sysctl net.ipv4.ip_unprivileged_port_start=${port}`;
    case "EADDRNOTAVAIL":
      return `${host} is no address of this machine: set ${name} to one that is, such as 127.0.0.1:${port}`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name ${host} is not known here: set ${name} to an address of this machine, such as 127.0.0.1:${port}`;
    default:
      return null;
  }
}

function ofSocketFile(path: string, code: unknown): string | null {
  const directory = path.slice(0, path.lastIndexOf("/")) || "/";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `there is no directory ${directory}: make it, for this user alone`;
    case "EACCES":
    case "EROFS":
      return `this user may not write to the directory ${directory}: choose another`;
    default:
      return null;
  }
}
