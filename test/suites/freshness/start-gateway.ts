import { join } from "node:path";
import { EdgeProcess } from "./edge-process.ts";
import { FakeClock } from "./fake-clock.ts";
import { type Gateway, GatewayProcess, type GatewayProgram } from "./gateway-process.ts";
import { Link } from "./link.ts";

/** What every process of a rig is started with. */
export type ProcessOptions = {
  readonly scratch: string;
  readonly cacheMib: number;
  readonly toxiproxy: string;
  readonly fakeClockLibrary: string;
};

/** A gateway or an edge, which reaches its authority through a link of its own. */
export async function startGateway(
  program: GatewayProgram,
  name: string,
  authority: string,
  options: ProcessOptions,
): Promise<Gateway> {
  const link = await Link.start(options.toxiproxy, authority);
  // Go reads its clocks without the library that is faked, and Python cannot sleep with it: clock_nanosleep fails.
  const clock = ["go", "python"].includes(program.language) ? null : newClock(name, options);
  const { start } = program.language === "edge" ? EdgeProcess : GatewayProcess;
  return start({ program, name, link, directory: options.scratch, cacheMib: options.cacheMib, clock });
}

export function newClock(name: string, { fakeClockLibrary, scratch }: ProcessOptions): FakeClock {
  return new FakeClock(fakeClockLibrary, join(scratch, `${name}.clock`));
}
