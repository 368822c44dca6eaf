import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RestRig } from "./rest-rig.ts";

let rig: RestRig;
let key: string;
beforeAll(async () => {
  rig = await RestRig.start();
});
// Creations are limited by the second.
beforeEach(async () => {
  rig.goOnWithAnotherAccount();
  key = (await rig.issue()).key;
});
afterAll(() => rig[Symbol.asyncDispose]());

const json = { "content-type": "application/json" };
const form = { "content-type": "application/x-www-form-urlencoded" };
const good = { name: "a key", permissions: ["events:read"] };

async function faultOf(body: string | object, header: Readonly<Record<string, string>> = {}) {
  const { status, json: answer } = await rig.call("POST", "/v1/tokens", { key, header, body });
  return status === 200 ? "200" : `${status} ${answer.error.code} ${answer.error.param}`;
}

describe("a JSON body", () => {
  it.each([
    ["", "400 parameter_missing name"],
    ["{}", "400 parameter_missing name"],
    ["null", "400 body_malformed null"],
    ["[]", "400 body_malformed null"],
    ['"text"', "400 body_malformed null"],
    ["{", "400 body_malformed null"],
    ["{'name': 1}", "400 body_malformed null"],
    ["NaN", "400 body_malformed null"],
    ['{"name":"a"}', "400 parameter_missing permissions"],
    ['{"name":"a","name":"b","permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":"a","n\\u0061me":"b","permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":1,"permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":null,"permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":"","permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":"a\\u0000b","permissions":["events:read"]}', "400 parameter_invalid name"],
    ['{"name":"\\ud800","permissions":["events:read"]}', "400 parameter_invalid name"],
    [`{"name":"${"n".repeat(101)}","permissions":["events:read"]}`, "400 parameter_invalid name"],
    ['{"name":"a","permissions":"events:read"}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":[1]}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":null}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":{"0":"events:read"}}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":[]}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":["events"]}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":["events:read","events:read"]}', "400 parameter_invalid permissions"],
    ['{"name":"a","permissions":["events:read"],"type":"other"}', "400 parameter_invalid type"],
    ['{"name":"a","permissions":["events:read"],"type":["restricted"]}', "400 parameter_invalid type"],
    ['{"name":"a","permissions":["events:read"],"expires_at":"1893456000"}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":1893456000.5}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":1e400}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":253402300800}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":-1}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":1706140800}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"expires_at":true}', "400 parameter_invalid expires_at"],
    ['{"name":"a","permissions":["events:read"],"account":"acct_2"}', "400 parameter_unknown account"],
    ['{"name":"a","permissions":["events:read"],"livemode":true}', "400 parameter_unknown livemode"],
    ['{"name":"a","permissions":["events:read"],"__proto__":1}', "400 parameter_unknown __proto__"],
    [`${"[".repeat(30_000)}`, "400 body_malformed null"],
    ['{"name":"a","permissions":["events:read"],"expires_at":null}', "200"],
    ['{"name":"a \\"{,\\" b","permissions":["events:read"],"expires_at":1893456e3}', "200"],
  ])("%s: %s", async (body, fault) => {
    expect(await faultOf(body, json)).toBe(fault);
  });

  it("that is no UTF-8 is refused", async () => {
    const response = await fetch(`http://${rig.server.restAddress}/v1/tokens`, {
      method: "POST",
      headers: { ...json, authorization: `Bearer ${key}` },
      body: Buffer.from('{"name":"\xff","permissions":["events:read"]}', "latin1"),
    });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: "body_malformed" } }]);
  });
});

describe("a form", () => {
  it.each([
    ["name=a&permissions[]=events:read&permissions[]=charges:read", "200"],
    ["name=a&permissions[0]=events:read&permissions[1]=charges:read", "200"],
    ["name=a+%C3%BC&permissions%5B%5D=events%3Aread&expires_at=1893456000&type=restricted", "200"],
    ["name=ü&permissions[]=events:read", "200"],
    ["", "400 parameter_missing name"],
    ["name", "400 parameter_missing permissions"],
    ["name=a&permissions=events:read", "400 parameter_invalid permissions"],
    ["name=a&permissions[1]=events:read", "400 parameter_invalid permissions"],
    ["name=a&permissions[]=events:read&permissions=x:read", "400 parameter_invalid permissions"],
    ["name=a&permissions[a]=events:read", "400 parameter_unknown permissions[a]"],
    ["name=a&name=b&permissions[]=events:read", "400 parameter_invalid name"],
    ["name[]=a&permissions[]=events:read", "400 parameter_invalid name"],
    ["name=%&permissions[]=events:read", "400 parameter_invalid name"],
    ["name=%ff&permissions[]=events:read", "400 parameter_invalid name"],
    ["name=%00&permissions[]=events:read", "400 parameter_invalid name"],
    ["%ff=a", "400 parameter_invalid null"],
    ["name=a&permissions[]=events:read&expires_at=1e10", "400 parameter_invalid expires_at"],
    ["name=a&permissions[]=events:read&expires_at=", "400 parameter_invalid expires_at"],
    ["name=a&permissions[]=events:read&expires_at=99999999999999999999", "400 parameter_invalid expires_at"],
    ["name=a&permissions[]=events:read&livemode=true", "400 parameter_unknown livemode"],
    ["=a&name=a", "400 parameter_unknown null"],
  ])("%s: %s", async (body, fault) => {
    expect(await faultOf(body, form)).toBe(fault);
  });
});

describe("a body", () => {
  it.each([
    ["no key", ""],
    ["a bad key", "Authorization: Bearer sk_test_x\r\n"],
  ])("that never comes is not waited for from whoever has %s: 401 at once", async (_what, header) => {
    const [host = "", port] = (rig.server.restAddress ?? "").split(":");
    const socket = connect(Number(port), host);
    socket.write(
      `POST /v1/tokens HTTP/1.1\r\nHost: x\r\n${header}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n`,
    );
    const [answer] = await once(socket, "data");
    socket.destroy();
    expect(String(answer)).toMatch(/^HTTP\/1\.1 401 /);
  });

  it("of 64 KiB is read, of one byte more refused with 413, whether or not it says its length", async () => {
    const whole = (length: number) => JSON.stringify(good).padEnd(length, " ");
    expect(await faultOf(whole(64 * 1024), json)).toBe("200");
    expect(await faultOf(whole(64 * 1024 + 1), json)).toBe("413 body_too_large null");
    const response = await fetch(`http://${rig.server.restAddress}/v1/tokens`, {
      method: "POST",
      headers: { ...json, authorization: `Bearer ${key}` },
      body: new Blob([whole(64 * 1024 + 1)]).stream(),
      duplex: "half",
    });
    expect([response.status, await response.json()]).toMatchObject([413, { error: { code: "body_too_large" } }]);
  });

  it.each([
    ["text/plain"],
    ["application/json; charset=latin1"],
    ["application/json-patch+json"],
    ["multipart/form-data; boundary=x"],
  ])("of %s is refused with 415", async (type) => {
    expect(await faultOf(JSON.stringify(good), { "content-type": type })).toBe("415 media_type_unsupported null");
  });

  it("of JSON in UTF-8 is read, however that is written", async () => {
    expect(await faultOf(JSON.stringify(good), { "content-type": 'Application/JSON ; charset="UTF-8"' })).toBe("200");
    expect(await faultOf(`\ufeff${JSON.stringify(good)}`, json)).toBe("200");
  });

  it("that is empty may be of any type, as fetch and curl name one", async () => {
    for (const type of [
      "text/plain;charset=UTF-8",
      "application/x-www-form-urlencoded",
      "application/json",
      "no type",
    ]) {
      const { id } = await rig.issue();
      expect(await rig.codeOf("POST", `/v1/tokens/${id}/revoke`, { key, header: { "content-type": type } })).toBe(
        "200 ok",
      );
    }
  });

  it("of identity is read, with its type quoted or not", async () => {
    for (const encoding of ["identity", "Identity"]) {
      expect(await faultOf(JSON.stringify(good), { ...json, "content-encoding": encoding })).toBe("200");
    }
    expect(await faultOf(JSON.stringify(good), { "content-type": "application/json; profile=x;" })).toBe("200");
  });

  it("that is compressed is refused with 415", async () => {
    expect(await faultOf(good, { "content-encoding": "gzip" })).toBe("415 media_type_unsupported null");
  });

  it("of a revocation has no other parameter than its reason", async () => {
    const { id } = await rig.issue();
    const path = `/v1/tokens/${id}/revoke`;
    expect(await rig.codeOf("POST", path, { key, body: { name: "x" } })).toBe("400 parameter_unknown");
    expect(await rig.codeOf("POST", path, { key, header: form, body: "a=b" })).toBe("400 parameter_unknown");
    expect(await rig.codeOf("POST", path, { key, header: form, body: "" })).toBe("200 ok");
  });
});

describe("a query", () => {
  it.each([
    ["GET", "/v1/tokens?colour=red", "colour"],
    ["GET", "/v1/tokens?account=acct_1", "account"],
    ["GET", "/v1/tokens?limit=1&limit=2", "limit"],
    ["GET", "/v1/tokens?type=", "type"],
    ["GET", "/v1/tokens?status=deleted", "status"],
    ["GET", "/v1/tokens?created[eq]=1", "created[eq]"],
    ["GET", "/v1/tokens?created[gte]=now", "created[gte]"],
    ["GET", "/v1/tokens?created[gte][]=1", "created[gte][]"],
    ["GET", "/v1/tokens?limit=%ff", "limit"],
    ["GET", "/v1/tokens?type[]=secret", "type"],
    ["GET", `/v1/tokens/tok_${"0".repeat(24)}?expand=x`, "expand"],
    ["POST", "/v1/tokens?name=a", "name"],
    ["POST", `/v1/tokens/tok_${"0".repeat(24)}/revoke?reason=x`, "reason"],
  ])("%s %s is refused by the name of what is wrong", async (method, path, param) => {
    const { status, json: answer } = await rig.call(method, path, { key });
    expect([status, answer.error.param]).toEqual([400, param]);
    expect(answer.error.message).toContain(param);
  });

  it("never holds a key that is taken, nor one that is repeated", async () => {
    const { status, text } = await rig.call("GET", `/v1/tokens?key=${key}`);
    expect(status).toBe(401);
    expect(text).not.toContain(key);
    const named = await rig.call("GET", `/v1/tokens?${key}=1`, { key });
    expect([named.status, named.json.error.param]).toEqual([400, null]);
    expect(named.text).not.toContain(key);
    expect(await faultOf({ ...good, name: key }, json)).toBe("400 parameter_invalid name");
    await rig.metrics();
    expect(JSON.stringify(rig.logged)).not.toContain(key);
  });
});

describe("a path or method that is not there", () => {
  it.each([
    ["GET", "/"],
    ["GET", "/v1/tokens/"],
    ["GET", "/v1/tokens/a/b"],
    ["POST", "/v1/tokens/a/revoke/"],
    ["GET", "/v1/Tokens"],
    ["GET", "/v1/%74okens"],
    ["POST", "/casapay.token.v1.TokenService/Create"],
  ])("%s %s: 404", async (method, path) => {
    expect(await rig.codeOf(method, path, { key })).toBe("404 not_found");
  });

  it.each([
    ["DELETE", "/v1/tokens", "GET, HEAD, POST"],
    ["OPTIONS", "/v1/tokens", "GET, HEAD, POST"],
    ["POST", `/v1/tokens/tok_${"0".repeat(24)}`, "GET, HEAD"],
    ["GET", `/v1/tokens/tok_${"0".repeat(24)}/revoke`, "POST"],
    ["PUT", "/v1/openapi.json", "GET, HEAD"],
  ])("%s %s: 405, and what is allowed", async (method, path, allow) => {
    const { status, header, json: answer } = await rig.call(method, path, { key });
    expect([status, answer.error.code, header.get("allow")]).toEqual([405, "method_not_allowed", allow]);
  });

  it("HEAD answers what GET does, without the body", async () => {
    for (const path of ["/v1/tokens", "/v1/openapi.json"]) {
      const { status, text, header } = await rig.call("HEAD", path, { key });
      expect([status, text, header.get("content-type")]).toEqual([200, "", "application/json"]);
    }
    expect((await rig.call("HEAD", "/v1/tokens")).status).toBe(401);
  });
});

it("every answer has a Request-Id of its own, and an error repeats it", async () => {
  const answers = [
    await rig.call("GET", "/v1/tokens", { key }),
    await rig.call("GET", "/v1/tokens"),
    await rig.call("GET", "/nowhere"),
    await rig.call("PUT", "/v1/tokens"),
    await rig.call("GET", "/v1/openapi.json"),
  ];
  const ids = answers.map(({ header }) => header.get("request-id"));
  expect(new Set(ids).size).toBe(5);
  expect(answers.slice(1, 4).map(({ json: answer }) => answer.error)).toMatchObject(
    ids.slice(1, 4).map((id) => ({ request_id: id })),
  );
});
