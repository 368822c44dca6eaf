import { readdirSync, readFileSync } from "node:fs";
import { formatNumber } from "./figures.ts";

/** What the machine did to a round besides what was asked of it, or the sums from which that is told. */
type Disturbance = {
  /** Of the time of all cores, what other machines on the same hardware had. In hundredths of a second. */
  readonly stolen: number;
  readonly total: number;
  /** What the servers had to fetch from the disk. */
  readonly readBytes: number;
};

/**
 * Measures rounds, and says in one line what disturbed them. Where the system does not tell, the line says so with
 * dashes.
 */
export function watchDisturbance(): { endRound(): void; describe(): string } {
  let before = readDisturbance();
  const rounds: Disturbance[] = [];
  return {
    endRound() {
      const now = readDisturbance();
      rounds.push({
        stolen: now.stolen - before.stolen,
        total: now.total - before.total,
        readBytes: now.readBytes - before.readBytes,
      });
      before = now;
    },
    describe() {
      const steal = rounds.map(({ stolen, total }) => formatNumber((100 * stolen) / total)).join(", ");
      const read = rounds.map(({ readBytes }) => formatNumber(readBytes / 1e6)).join(", ");
      return `rounds    steal ${steal} %; servers read ${read} MB from the disk; the first is not counted`;
    },
  };
}

function readDisturbance(): Disturbance {
  // user nice system idle iowait irq softirq steal: proc(5). What follows is part of user and nice.
  const times = (/^cpu +(.*)$/m.exec(read("/proc/stat"))?.[1] ?? "").split(" ").slice(0, 8).map(Number);
  return {
    stolen: times[7] ?? Number.NaN,
    total: times.reduce((sum, time) => sum + time, 0),
    readBytes: childrenOf(process.pid).reduce((sum, pid) => sum + readBytesOf(pid), 0),
  };
}

function childrenOf(pid: number): readonly string[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads
      .flatMap((id) => read(`/proc/${pid}/task/${id}/children`).trim().split(" "))
      .filter((id) => id !== "");
  } catch {
    return [];
  }
}

function readBytesOf(pid: string): number {
  return Number(/^read_bytes: (\d+)$/m.exec(read(`/proc/${pid}/io`))?.[1] ?? 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
