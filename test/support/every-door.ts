import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { envoyDoor, forwardAuthDoor } from "../gateway/doors.ts";
import type { RestRig } from "../rest/rest-rig.ts";
import type { TestServer } from "./test-server.ts";

const words = [["permission", "none"]] as const;

function wordOf(reason: RefusalReason): string | undefined {
  return Object.entries(RefusalReason)
    .find(([, value]) => value === reason)?.[0]
    .toLowerCase();
}

/** How each door decides on a key, on a connection of its own: `accepted`, or status and reason of the refusal. */
export function everyDoor(authority: RestRig): readonly ((key: string) => Promise<string>)[] {
  const gateway = (door: typeof envoyDoor) => async (key: string) => {
    const { status, code } = await door.ask(authority.server.address, {
      words,
      headers: { authorization: `Bearer ${key}` },
    });
    return code === null ? "accepted" : `${status} ${code}`;
  };
  const rpc = (client: () => TestServer["tokens"]) => async (key: string) => {
    const { outcome } = await client().authenticate({ key });
    return outcome.case === "refusal" ? `refusal ${wordOf(outcome.value.reason)}` : "accepted";
  };
  const connect = () =>
    createClient(
      TokenService,
      createConnectTransport({ baseUrl: `http://${authority.server.address}`, httpVersion: "2" }),
    );
  const rest = async (key: string) => {
    const { status, json } = await authority.call("GET", "/v1/tokens?limit=1", { key });
    return status === 200 ? "accepted" : `${status} ${json.error.code}`;
  };
  return [rpc(() => authority.tokens), rpc(connect), gateway(envoyDoor), gateway(forwardAuthDoor), rest];
}
