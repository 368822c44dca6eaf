import { once } from "node:events";
import { createServer } from "node:http";
import { authority } from "../baselines/authority.ts";
import type { Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpus, rates } from "./cost.ts";

const shape: Shape = [8, 8];

/** What tracing costs where it is on: with one call in a thousand recorded, and with each of them. */
export async function measureTracing(context: BenchContext): Promise<void> {
  const collector = createServer((request, response) => {
    request.resume().on("end", () => response.end());
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  const address = collector.address();
  const port = typeof address === "object" ? address?.port : 0;
  const variables = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  try {
    const call = createRepeatedAuthenticate(context, shape);
    const off = await context.start(authority());
    const on = await context.start(authority({ directory: "copy", variables: { ...variables, ...sampling("0.001") } }));
    const few = await interleave(context.rounds, { off: () => call(off), on: () => call(on) });
    await on[Symbol.asyncDispose]();
    const every = await context.start(authority({ directory: "copy", variables: { ...variables, ...sampling("1") } }));
    const many = await interleave(context.rounds, { off: () => call(off), on: () => call(every) });
    context.print("Tracing, 8×8", [
      ...costFigures("off", few.off),
      ...costFigures("one call in a thousand", few.on),
      ratio("one in a thousand: calls, of those when off", rates(few.on), rates(few.off)),
      ratio("one in a thousand: CPU a call, of that when off", cpus(few.on), cpus(few.off)),
      ratio("every call: calls, of those when off", rates(many.on), rates(many.off)),
      ratio("every call: CPU a call, of that when off", cpus(many.on), cpus(many.off)),
    ]);
  } finally {
    collector.close();
    collector.closeAllConnections();
  }
}

function sampling(ratio: string) {
  return { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: ratio };
}
