import { readdirSync, readFileSync } from "node:fs";

/** The CPU time of a process' living threads, in microseconds; NaN where the system does not tell. */
export function cpuTimeUs(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    // Its first number is the time on a core in nanoseconds; /proc/PID/stat has it in hundredths of a second.
    const times = threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]));
    return times.reduce((sum, time) => sum + time, 0) / 1000;
  } catch {
    return Number.NaN;
  }
}
