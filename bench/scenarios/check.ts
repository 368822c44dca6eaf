import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { authority } from "../baselines/authority.ts";
import { encode } from "../loads/calls.ts";
import type { Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate, createRepeatedCall } from "../loads/repeated-authenticate.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpus, rates } from "./cost.ts";

const shape: Shape = [8, 8];

/** Envoy's Check of a hot key, beside Authenticate of the same. */
export async function measureCheck(context: BenchContext): Promise<void> {
  const { path, message } = checkOf(context.setup.hotKey);
  const authenticate = createRepeatedAuthenticate(context, shape);
  const check = createRepeatedCall(context, shape, { name: "check", path, message });
  const server = await context.start(authority());
  const results = await interleave(context.rounds, {
    authenticate: () => authenticate(server),
    check: () => check(server),
  });
  context.print("Envoy's Check of a hot key, beside Authenticate, 8×8", [
    ...costFigures("Authenticate", results.authenticate),
    ...costFigures("Check", results.check),
    ratio("Check: calls, of Authenticate's", rates(results.check), rates(results.authenticate), { atLeast: 0.5 }),
    ratio("Check: CPU a call, of Authenticate's", cpus(results.check), cpus(results.authenticate)),
  ]);
}

/** As much as Envoy says of a request from a library. */
/** The path and the message. */
export function checkOf(key: string) {
  return encode(Authorization.method.check, {
    attributes: {
      source: { address: { address: { case: "socketAddress", value: { address: "203.0.113.7" } } } },
      destination: { address: { address: { case: "socketAddress", value: { address: "192.0.2.1" } } } },
      contextExtensions: { permission: "none" },
      request: {
        time: { seconds: 1_795_000_000n, nanos: 123_456_000 },
        http: {
          id: "4632178439527439867",
          method: "POST",
          headers: {
            ":authority": "api.casapay.example",
            ":method": "POST",
            ":path": "/v1/charges",
            ":scheme": "https",
            accept: "application/json",
            "accept-encoding": "gzip, deflate, br",
            authorization: `Bearer ${key}`,
            "content-length": "128",
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": "casapay-node/8.1 (linux; x64) node/26.10.0",
            "x-envoy-auth-partial-body": "false",
            "x-forwarded-for": "203.0.113.7",
            "x-forwarded-proto": "https",
            "x-request-id": "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52",
          },
          path: "/v1/charges",
          host: "api.casapay.example",
          scheme: "https",
          size: 128n,
          protocol: "HTTP/2",
        },
      },
    },
  });
}
