import type { FinishedCall } from "../../calls/finished-call.ts";

/** The values of rpc.system.name. */
type RpcSystem = "grpc" | "connectrpc" | "rest" | "http";

/** How long the calls of one kind took: numbers that can be sent to another thread and added up. */
export type DurationMeasure = {
  readonly rpc: string;
  readonly system: RpcSystem;
  readonly code: string;
  /** Calls by the first bucket they fit in; the last counts those that fit in none. */
  readonly counts: number[];
  sumMs: number;
};

/** All measures of one thread so far. */
export type CallMeasures = {
  readonly durations: readonly DurationMeasure[];
  readonly refusals: ReadonlyMap<string, number>;
};

/** Upper bounds in milliseconds, from a hot Authenticate to a Create behind a slow disk. */
export const bucketsMs = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/** Counts calls. RPCs, protocols, codes and reasons are closed sets, which bounds what is kept. */
export type CallMeter = {
  /** Hot path. */
  observe(call: FinishedCall): void;
  read(): CallMeasures;
};

export function createCallMeter(): CallMeter {
  const byRpc = new Map<string, Map<RpcSystem, Map<string, DurationMeasure>>>();
  const durations: DurationMeasure[] = [];
  const refusals = new Map<string, number>();

  /** Most calls are of the kind of the one before. */
  let latest: DurationMeasure | null = null;

  function measureOf({ rpc, protocol, code }: FinishedCall): DurationMeasure {
    const system = systemOf(protocol);
    if (latest === null || latest.rpc !== rpc || latest.system !== system || latest.code !== code) {
      latest = find(rpc, system, code);
    }
    return latest;
  }

  function find(rpc: string, system: RpcSystem, code: string): DurationMeasure {
    const bySystem = getOrInsert(byRpc, rpc, () => new Map<RpcSystem, Map<string, DurationMeasure>>());
    const byCode = getOrInsert(bySystem, system, () => new Map<string, DurationMeasure>());
    return getOrInsert(byCode, code, (): DurationMeasure => {
      const measure: DurationMeasure = {
        rpc,
        system,
        code,
        counts: Array.from({ length: bucketsMs.length + 1 }, () => 0),
        sumMs: 0,
      };
      durations.push(measure);
      return measure;
    });
  }

  return {
    observe(call) {
      const { durationMs, refusal } = call;
      const measure = measureOf(call);
      let bucket = 0;
      while (bucket < bucketsMs.length && durationMs > (bucketsMs[bucket] ?? 0)) {
        bucket += 1;
      }
      measure.counts[bucket] = (measure.counts[bucket] ?? 0) + 1;
      measure.sumMs += durationMs;
      if (refusal !== null) {
        refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
      }
    },
    read: () => ({ durations, refusals }),
  };
}

function systemOf(protocol: string): RpcSystem {
  switch (protocol) {
    case "connect":
      return "connectrpc";
    case "rest":
    case "http":
      return protocol;
    default:
      return "grpc";
  }
}

/** Adds up the measures of all threads. */
export function addMeasures(all: readonly CallMeasures[]): CallMeasures {
  const durations = new Map<string, DurationMeasure>();
  const refusals = new Map<string, number>();
  for (const one of all) {
    for (const { rpc, system, code, counts, sumMs } of one.durations) {
      const key = `${rpc} ${system} ${code}`;
      const before = durations.get(key);
      durations.set(key, {
        rpc,
        system,
        code,
        counts: counts.map((count, at) => count + (before?.counts[at] ?? 0)),
        sumMs: sumMs + (before?.sumMs ?? 0),
      });
    }
    for (const [reason, count] of one.refusals) {
      refusals.set(reason, count + (refusals.get(reason) ?? 0));
    }
  }
  return { durations: [...durations.values()], refusals };
}

function getOrInsert<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) {
    return found;
  }
  const made = make();
  map.set(key, made);
  return made;
}
