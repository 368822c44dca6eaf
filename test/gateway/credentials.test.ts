import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CredentialVector, credentialVectors } from "../bearer/credential-vectors.ts";
import { TestServer } from "../support/test-server.ts";
import { check } from "./doors.ts";

// What these keys are decided to be tells one from none, and from two.
const codeOf = ({ presents }: CredentialVector) =>
  typeof presents === "string" ? "key_malformed" : presents === null ? "key_missing" : "keys_conflict";

describe("every door finds the same key in the same headers", () => {
  let authority: TestServer;
  beforeAll(async () => {
    authority = await TestServer.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0" });
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it.each(credentialVectors)("$name", async (vector) => {
    const { address, restAddress } = authority.server;
    const codes = {
      check: await askCheck(address, vector),
      "/authorize": await askHttp(`http://${address}/authorize?permission=none`, vector),
      rest: await askHttp(`http://${restAddress}/v1/tokens`, vector),
    };
    expect(codes).toEqual({ check: codeOf(vector), "/authorize": codeOf(vector), rest: codeOf(vector) });
  });
});

/** As Envoy asks: one field of a name, its values joined by commas. */
async function askCheck(address: string, { authorization, x_api_key }: CredentialVector): Promise<string | null> {
  const headers = {
    ...(authorization.length === 0 ? {} : { authorization: authorization.join(",") }),
    ...(x_api_key.length === 0 ? {} : { "x-api-key": x_api_key.join(",") }),
  };
  const { code } = await check(address, {
    attributes: { contextExtensions: { permission: "none" }, request: { http: { method: "GET", headers } } },
  });
  return code;
}

/** Over HTTP/1.1, one field a value. */
function askHttp(url: string, { authorization, x_api_key }: CredentialVector): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // A flat list: as an object, Node would send one Authorization of several.
  const fields = [
    authorization.map((value) => ["Authorization", value]),
    x_api_key.map((value) => ["X-API-Key", value]),
  ];
  const headers = ["Host", new URL(url).host, ...fields.flat(2)];
  const asking = request(url, { headers, agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk) => {
      text += chunk;
    });
    response.on("error", reject);
    response.on("end", () => resolve(JSON.parse(text).error.code));
  });
  asking.on("error", reject);
  asking.end();
  return promise;
}
