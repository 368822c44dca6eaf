import { expect, it, vi } from "vitest";
import { createFaultLog } from "../../src/calls/fault-log.ts";

it("writes at most 10 faults a second, of whatever kind, also when the clock jumps, and counts the others", () => {
  vi.useFakeTimers({ toFake: ["performance", "Date"], now: 1_700_000_000_000 });
  try {
    const lines: { readonly rpc?: string; readonly unreported?: number }[] = [];
    const report = createFaultLog({ info() {}, warn() {}, error: (fields) => void lines.push(fields) });
    for (let at = 0; at < 30; at += 1) {
      vi.setSystemTime(Date.now() + (at % 2 === 0 ? 3_600_000 : -3_600_000));
      report(new Error("planted"), `rpc ${at % 3}`);
    }
    expect(lines).toHaveLength(10);
    vi.advanceTimersByTime(1000);
    report(new Error("planted"), "rpc 0");
    expect(lines.at(-1)).toMatchObject({ rpc: "rpc 0", unreported: 20 });
  } finally {
    vi.useRealTimers();
  }
});
