import { existsSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { env, geteuid } from "node:process";
import { type Authority, connect, type MutualTls } from "../clients/typescript/src/index.ts";
import { refuse, UsageError } from "./usage.ts";

const members = ["address", "ca", "cert", "key", "serverName"];

/**
 * Opens what the profile says: the file that TOKENCTL_PROFILE names, else tokenctl.json in the user's configuration,
 * else the authority of this machine. Throws a UsageError when the profile cannot be used, or others could change it.
 */
export function openAuthority(): Authority {
  const path = env.TOKENCTL_PROFILE ?? join(env.XDG_CONFIG_HOME ?? join(homedir(), ".config"), "tokenctl.json");
  try {
    const isThere = env.TOKENCTL_PROFILE !== undefined || existsSync(path);
    const { address = "127.0.0.1:50051", ...files } = isThere ? readProfile(path) : {};
    const isPlaintext = Object.keys(files).length === 0;
    return connect(address, { security: isPlaintext ? "plaintext" : mutualTls(files, dirname(path)) });
  } catch (error) {
    throw new UsageError(`the profile ${path}: ${error instanceof Error ? error.message : ""}`, { cause: error });
  }
}

function readProfile(path: string): Readonly<Record<string, string>> {
  requireOwn(path, 0o022, "can be changed by others");
  const profile = JSON.parse(readFileSync(path, "utf8"));
  if (!Object.entries(Object(profile)).every(([name, value]) => members.includes(name) && typeof value === "string")) {
    refuse(`must be an object of texts with no other names than ${members.join(", ")}`);
  }
  return { ...profile };
}

function mutualTls(files: Readonly<Record<string, string>>, folder: string): MutualTls {
  const missing = () => refuse("ca, cert and key go together");
  const { ca = missing(), cert = missing(), key = missing(), ...name } = files;
  requireOwn(resolve(folder, key), 0o077, "can be read by others");
  return { ca: resolve(folder, ca), cert: resolve(folder, cert), key: resolve(folder, key), ...name };
}

/** Throws unless this file is this user's or root's, and has none of these modes. */
function requireOwn(path: string, forbidden: number, complaint: string): void {
  const { uid, mode } = statSync(path);
  const user = geteuid?.();
  // Root hands over files that a group may read, as Kubernetes does.
  const isOpen = (mode & forbidden & (uid === user ? 0o777 : 0o737)) !== 0;
  if (user !== undefined && (isOpen || ![user, 0].includes(uid))) {
    refuse(`${path} ${isOpen ? complaint : "belongs to another user"}: run chmod 600 on it`);
  }
}
