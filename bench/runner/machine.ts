import { execFileSync } from "node:child_process";
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { formatNumber, median } from "./figures.ts";
import { canPin, loadCore, serverCore } from "./pinned.ts";

const probes = 200;

/** What a reader has to know of the machine to compare figures, a line each. */
export function describeMachine(directory: string): readonly string[] {
  const cores = canPin ? `server on core ${serverCore}, load on core ${loadCore}` : "no core of its own for anything";
  return [
    `machine   ${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores, ${formatNumber(totalmem() / 2 ** 30)} GiB; ${cores}`,
    `system    ${platform()} ${release()} ${arch()}, Node ${process.versions.node}, SQLite ${sqliteVersion()}, commit ${commit()}`,
    `disk      ${directory}: ${fileSystemOf(directory)}; ${describeSync(directory)}`,
    `busy      load average ${loadavg().map(formatNumber).join(", ")} at the start: figures of a busy machine are worth little`,
  ];
}

function sqliteVersion(): string {
  const db = new Database(":memory:");
  try {
    return String(db.prepare("SELECT sqlite_version()").pluck().get());
  } finally {
    db.close();
  }
}

function commit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], {
      encoding: "utf8",
      cwd: import.meta.dirname,
    }).trim();
  } catch {
    return "unknown";
  }
}

/** The mount with the longest path that the directory lies in. */
function fileSystemOf(directory: string): string {
  try {
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .filter(([, path = "-"]) => `${directory}/`.startsWith(path === "/" ? path : `${path}/`))
      .toSorted(([, a = ""], [, b = ""]) => b.length - a.length);
    return mounts[0]?.[2] ?? "unknown";
  } catch {
    return "unknown";
  }
}

/** What a commit on this disk waits for at least. */
function describeSync(directory: string): string {
  const path = join(directory, "probe");
  const descriptor = openSync(path, "w");
  try {
    const page = Buffer.alloc(4096);
    const tookMs = Array.from({ length: probes }, () => {
      const startMs = performance.now();
      writeSync(descriptor, page);
      fdatasyncSync(descriptor);
      return performance.now() - startMs;
    });
    return `4 KiB and fdatasync: median ${formatNumber(median(tookMs))} ms, greatest ${formatNumber(Math.max(...tookMs))} ms`;
  } finally {
    closeSync(descriptor);
    rmSync(path);
  }
}
