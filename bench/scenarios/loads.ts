import { authority } from "../baselines/authority.ts";
import { http2Echo } from "../baselines/http2-echo.ts";
import type { Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpus, rates } from "./cost.ts";

const shape: Shape = [8, 8];

/** Whether go/load can be believed: beside h2load, on a server that answers fixed bytes, and on the authority. */
export async function measureLoads(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  const repeated = createRepeatedAuthenticate(context, shape);
  const echo = await context.start(http2Echo());
  const ours = await context.start(authority());
  const results = await interleave(context.rounds, {
    echoH2load: () => repeated(echo),
    echoGo: () => context.authenticate(echo, { shape, headers: "constant", keys: "hot" }),
    oursH2load: () => repeated(ours),
    oursGo: () => context.authenticate(ours, { shape, headers: "constant", keys: "hot" }),
    oursDiffering: () => context.authenticate(ours, { shape, headers: "differing", keys: "hot" }),
  });
  const { echoH2load, echoGo, oursH2load, oursGo, oursDiffering } = results;
  context.print("The load generators, hot keys, 8×8", [
    ...costFigures("node:http2 echo, by h2load", echoH2load),
    ...costFigures("node:http2 echo, by go/load with constant headers", echoGo),
    ...costFigures("authority, by h2load", oursH2load),
    ...costFigures("authority, by go/load with constant headers", oursGo),
    ...costFigures("authority, by go/load with differing headers", oursDiffering),
    {
      name: "go/load with differing headers: its core busy",
      unit: "%",
      values: oursDiffering.map(({ loadBusy = Number.NaN }) => 100 * loadBusy),
    },
    ratio("node:http2 echo: calls by go/load, of h2load", rates(echoGo), rates(echoH2load)),
    ratio("authority: CPU a call by go/load, of h2load", cpus(oursGo), cpus(oursH2load)),
    ratio("authority: calls with differing headers, of constant ones", rates(oursDiffering), rates(oursGo), {
      atLeast: 0.6,
    }),
  ]);
}
