import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { env, geteuid } from "node:process";
import { type Authority, connect } from "../clients/typescript/src/index.ts";
import { UsageError } from "./usage.ts";

const members = ["address", "ca", "cert", "key", "serverName"];

/**
 * Opens what the profile says: the file that TOKENCTL_PROFILE names, else tokenctl.json in the user's configuration,
 * else the authority of this machine. Throws a UsageError when the profile cannot be used, or others could change it.
 */
export function openTarget(): { readonly authority: Authority; readonly address: string } {
  const path = env.TOKENCTL_PROFILE ?? join(env.XDG_CONFIG_HOME ?? join(homedir(), ".config"), "tokenctl.json");
  try {
    const isThere = env.TOKENCTL_PROFILE !== undefined || statSync(path, { throwIfNoEntry: false }) !== undefined;
    const { address = "127.0.0.1:50051", serverName, ...files } = isThere ? readProfile(path) : {};
    const [ca, cert, key] = [files.ca, files.cert, files.key].map((file) => file && resolve(dirname(path), file));
    if (ca === undefined && cert === undefined && key === undefined) {
      return { address, authority: connect(address, { security: "plaintext" }) };
    }
    if (ca === undefined || cert === undefined || key === undefined) {
      throw new UsageError("ca, cert and key go together");
    }
    requireOwn(key, 0o077, "can be read by others");
    const name = serverName === undefined ? {} : { serverName };
    return { address, authority: connect(address, { security: { ca, cert, key, ...name } }) };
  } catch (error) {
    throw new UsageError(`the profile ${path}: ${error instanceof Error ? error.message : ""}`, { cause: error });
  }
}

function readProfile(path: string): Readonly<Record<string, string>> {
  requireOwn(path, 0o022, "can be changed by others");
  const profile: unknown = JSON.parse(readFileSync(path, "utf8"));
  const wrong = Object.entries(Object(profile)).find(
    ([name, value]) => !members.includes(name) || typeof value !== "string",
  );
  if (wrong !== undefined || typeof profile !== "object" || profile === null) {
    throw new UsageError(`must be an object of texts with no other names than ${members.join(", ")}`);
  }
  return { ...profile };
}

/** Throws unless this file is this user's or root's, and has none of these modes. */
function requireOwn(path: string, forbidden: number, complaint: string): void {
  const { uid, mode } = statSync(path);
  const user = geteuid?.();
  if (user !== undefined && uid !== user && uid !== 0) {
    throw new UsageError(`${path} belongs to another user (uid ${uid})`);
  }
  // Root hands over files that a group may read, as Kubernetes does.
  if (user !== undefined && (mode & forbidden & (uid === user ? 0o777 : 0o737)) !== 0) {
    throw new UsageError(`${path} ${complaint}: run chmod 600 on it`);
  }
}
