import { type LaneLoad, type LaneResult, runLaneLoad, type Shape } from "../loads/lane-load.ts";
import type { NodeLoad } from "../loads/node-load.ts";
import type { LoadJob, LoadResult } from "../loads/node-load-job.ts";
import type { Population } from "../population/seeded-token.ts";
import { type Figure, printFigures } from "./figures.ts";
import { MissingError } from "./missing-error.ts";
import { type ProgramPlace, type ServerProcess, startProgram } from "./server-process.ts";
import type { Setup, Way } from "./way.ts";

/** A way that is running, until its scenario ends. */
export type RunningWay = ServerProcess & Pick<Way, "name" | "transport" | "raw">;

/** Measures something, and prints it. */
export type Scenario = (context: BenchContext) => Promise<void>;

export type BenchOptions = {
  readonly population: Population;
  readonly setup: Setup;
  readonly rounds: number;
  readonly roundMs: number;
  readonly interrupted: AbortSignal;
  readonly nodeLoads: { readonly foreground: NodeLoad; readonly background: NodeLoad };
  /** The path of go/load, or what is missing. */
  readonly laneLoad: string | MissingError;
  /** The work tree that this one is compared with, if any. */
  readonly before: string | null;
};

export type BenchContext = BenchOptions & {
  /** Throws when it cannot be started. */
  start(way: Way, cores?: ProgramPlace["cores"]): Promise<RunningWay>;
  /** Starts those that can be, and says why the others are left out. */
  startAll(ways: readonly Way[], cores?: ProgramPlace["cores"]): Promise<readonly RunningWay[]>;
  /** Says that something is left out, once. */
  leaveOut(what: string, error: unknown): void;
  /** The path of go/load. Throws a MissingError where there is no Go. */
  requireLaneLoad(): string;
  /** Authenticate by go/load for one round. Throws a MissingError where there is no Go. */
  authenticate(server: RunningWay, load: LaneLoad): Promise<LaneResult>;
  /** Any call by node:http2, for one round. */
  call(server: RunningWay, job: NodeJob): Promise<LoadResult>;
  /** The same, beside another load. */
  callInBackground(server: RunningWay, job: NodeJob): Promise<LoadResult>;
  print(title: string, figures: readonly Figure[]): void;
};

export type NodeJob = {
  readonly shape: Shape;
  readonly calls: LoadJob["calls"];
  readonly maxMs?: number;
  readonly maxCalls?: number;
};

/** What is kept from scenario to scenario, for the last lines of the run. */
export type Notes = {
  /** How many calls failed, by what they got and where. What stands beside them is void. */
  readonly failures: Map<string, number>;
  readonly leftOut: Set<string>;
  /** Those with a target, and the table that they stand in. */
  readonly judged: { readonly title: string; readonly figure: Figure }[];
};

/** The context of one scenario. `servers` takes what is started. */
export function createContext(
  scenario: string,
  options: BenchOptions,
  notes: Notes,
  servers: AsyncDisposableStack,
): BenchContext {
  const { setup, roundMs, interrupted, nodeLoads, laneLoad } = options;
  let firstKey = 0;

  function noteFailures(some: LoadResult["failures"]): void {
    for (const [what, count] of Object.entries(some)) {
      const where = `${what} in ${scenario}`;
      notes.failures.set(where, (notes.failures.get(where) ?? 0) + count);
    }
  }

  async function start(way: Way, cores: ProgramPlace["cores"] = "server"): Promise<RunningWay> {
    const server = servers.use(await startProgram(await way.program(setup), { interrupted, cores }));
    const { name, transport, raw } = way;
    return { ...server, name, transport, ...(raw === undefined ? {} : { raw }) };
  }

  function leaveOut(what: string, error: unknown): void {
    if (!(error instanceof MissingError)) {
      throw error;
    }
    const line = `${what}: left out, for ${error.message}`;
    if (!notes.leftOut.has(line)) {
      notes.leftOut.add(line);
      console.log(`\n${line}`);
    }
  }

  function requireLaneLoad(): string {
    if (laneLoad instanceof MissingError) {
      throw laneLoad;
    }
    return laneLoad;
  }

  async function run(generator: NodeLoad, { address, pid }: ServerProcess, job: NodeJob): Promise<LoadResult> {
    const { shape, calls, maxMs = roundMs, maxCalls = Number.MAX_SAFE_INTEGER } = job;
    const [connections, streams] = shape;
    const result = await generator.run({ address, serverPid: pid, connections, streams, calls, maxMs, maxCalls });
    noteFailures(result.failures);
    return result;
  }

  return {
    ...options,
    start,
    async startAll(ways, cores) {
      const running: RunningWay[] = [];
      for (const way of ways) {
        try {
          running.push(await start(way, cores));
        } catch (error) {
          leaveOut(way.name, error);
        }
      }
      return running;
    },
    leaveOut,
    requireLaneLoad,
    async authenticate(server, load) {
      const program = requireLaneLoad();
      const place = { durationMs: roundMs, firstKey };
      const result = await runLaneLoad(program, setup, server, load, place);
      firstKey += load.keys === "random" ? 2 * result.calls : 0;
      noteFailures(result.failures);
      return result;
    },
    call: (server, job) => run(nodeLoads.foreground, server, job),
    callInBackground: (server, job) => run(nodeLoads.background, server, job),
    print(title, figures) {
      if (figures.length === 0) {
        return;
      }
      printFigures(title, figures);
      notes.judged.push(...figures.filter(({ target }) => target !== undefined).map((figure) => ({ title, figure })));
    },
  };
}
