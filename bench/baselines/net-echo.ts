import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import type { Way } from "../runner/way.ts";
import { nodeProgram } from "./node-program.ts";

/** What sockets and system calls cost in Node with nothing around them: so many bytes answered to each so many. */
function netEcho(requestBytes: number, answerBytes: number): Way {
  return {
    name: "bare net echo",
    transport: "cleartext",
    raw: { requestBytes, answerBytes },
    program: () =>
      nodeProgram(new URL("./net-echo-server.ts", import.meta.url), String(requestBytes), String(answerBytes)),
  };
}

/** Starts one with as many bytes as a call of the authority has; none where that cannot be told. */
export async function startNetEcho(context: BenchContext, authority: RunningWay): Promise<readonly RunningWay[]> {
  try {
    const probe = await context.authenticate(authority, { shape: [1, 1], headers: "constant", keys: "hot" });
    const bytes = [probe.bytesSentACall, probe.bytesReceivedACall].map(Math.round);
    return [await context.start(netEcho(bytes[0] ?? 0, bytes[1] ?? 0))];
  } catch (error) {
    context.leaveOut("bare net echo", error);
    return [];
  }
}
