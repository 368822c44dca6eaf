import { expect, it } from "vitest";
import { changesIn } from "../../src/stores/changes/changes-in-text.ts";

const hash = "0123456789abcdef".repeat(4);
const tokenId = `tok_${"1".repeat(24)}`;
const revocation = {
  after: 3,
  revision: 5,
  hash,
  time: 2000,
  token_id: tokenId,
  caller: "spiffe://a",
  reason: "a “leak”\n",
};
const changed = {
  ...{ level: 30, time: 2000, pid: 7, action: "revoke", token_id: tokenId, caller: "spiffe://a", revision: 5, hash },
  msg: "changed",
};
const own = JSON.stringify(changed);
const at = "2026-11-28T10:00:00.000000000Z";

const found = {
  lines: [
    expect.objectContaining({
      revision: 5,
      hash,
      takeaway: expect.objectContaining({ subject: { tokenId }, atMs: 2000 }),
    }),
  ],
  isUnderstood: true,
};

it.each([
  ["as it is", own],
  ["of a revocation log", JSON.stringify(revocation)],
  ["behind syslog's head", `Nov 28 10:00:00 host authority[7]: ${own}`],
  ["of containerd (CRI)", `${at} stdout F ${own}`],
  ["of Docker (json-file)", JSON.stringify({ log: `${own}\n`, stream: "stdout", time: at })],
  ["of Fluent Bit", JSON.stringify({ log: `${own}\n`, kubernetes: { labels: { app: "authority" } } })],
  ["of Fluent Bit that has parsed it", JSON.stringify({ log_processed: changed, kubernetes: { pod_name: "a-0" } })],
  ["of Loki (logcli --output=jsonl)", JSON.stringify({ labels: { app: "authority" }, line: own, timestamp: at })],
  ["of Loki (logcli)", `${at} {app="authority"} ${own}`],
  ["of Loki's answer", JSON.stringify({ data: { result: [{ stream: {}, values: [["1795863457164000000", own]] }] } })],
  ["of Loki behind containerd", JSON.stringify({ line: `${at} stdout F ${own}` })],
  ["of journald (json)", JSON.stringify({ MESSAGE: own, _PID: "7" })],
  ["of journald, as bytes", JSON.stringify({ MESSAGE: [...Buffer.from(own)], _PID: "7" })],
  ["of a cloud that has parsed it", JSON.stringify({ insertId: "x", jsonPayload: changed, timestamp: at })],
  ["of Elasticsearch", JSON.stringify([{ _index: "logs", _source: { message: own } }])],
])("finds the change in a line %s", (_how, text) => {
  expect(changesIn(text)).toEqual(found);
});

it("finds that an upgrade was a change, which took nothing away", () => {
  const text = JSON.stringify({ level: 30, time: 1, pid: 7, action: "attest", revision: 5, hash, msg: "changed" });
  const line = { after: 4, revision: 5, hash, takeaway: null, authority: null };
  expect(changesIn(text)).toEqual({ lines: [line], isUnderstood: true });
});

it("finds all changes of one line", () => {
  const lines = [1, 2, 3].map((revision) => ({ ...changed, revision }));
  const answer = JSON.stringify({ data: { result: lines.map((line) => ({ values: [["1", JSON.stringify(line)]] })) } });
  expect(changesIn(answer).lines.map(({ revision }) => revision)).toEqual([1, 2, 3]);
});

it.each([
  ["cut off", own.slice(0, -30)],
  ["cut off behind its revision", own.slice(0, own.indexOf(',"hash"'))],
  ["cut off within Docker's", JSON.stringify({ log: own.slice(0, -30), stream: "stdout" })],
  ["with a time that somebody has rewritten", JSON.stringify({ ...changed, time: at })],
  [
    "of a newer release, which takes something else away",
    JSON.stringify({
      after: 4,
      revision: 5,
      head: hash,
      time: 2000,
      action: "shorten",
      token_id: tokenId,
      caller: "me",
    }),
  ],
  [
    "of a newer release, which is about an account",
    JSON.stringify({ after: 4, revision: 5, head: hash, time: 2000, action: "limit", account: "acct_1", caller: "me" }),
  ],
  ["of a newer release, of whose action nothing is known", JSON.stringify({ ...changed, action: "hold" })],
  ["in logfmt", `level=info revision=5 hash=${hash} token_id=${tokenId} msg=changed`],
  ["in CSV", `${at},"{""revision"":5,""hash"":""${hash}""}"`],
  ["pretty, by jq", '  "revision": 5,'],
  ["pretty, by jq, the hash", `  "hash": "${hash}",`],
  ["pretty, by pino-pretty", "    revision: 5"],
  ["pretty, in colours", `    \u001b[35mhash\u001b[39m: "${hash}"`],
  ["too deep, as objects", `${'{"a":['.repeat(50)}${own}${"]}".repeat(50)}`],
  ["too deep", Array.from({ length: 13 }).reduce<string>((text) => JSON.stringify({ log: text }), own)],
])("does not pass over a line that may tell of a change: %s", (_how, text) => {
  expect(changesIn(text)).toEqual({ lines: [], isUnderstood: false });
});

it.each([
  ["nothing", ""],
  ["other text", "nothing [{ here"],
  ["other JSON", '{"level":"info","revision":12,"msg":"rolled out"}'],
  ["a call", '{"level":30,"time":1,"pid":7,"rpc":"casapay.token.v1.TokenService/Revoke","revision":5,"msg":"call"}'],
  ["a start", '{"level":30,"time":1,"pid":7,"tokens":3,"revision":5,"msg":"opened the database"}'],
  [
    "what a caller has sent, in a line of this program",
    JSON.stringify({ level: 30, time: 1, pid: 7, caller: JSON.stringify(revocation), msg: "call" }),
  ],
])("passes over %s", (_what, text) => {
  expect(changesIn(text)).toEqual({ lines: [], isUnderstood: true });
});
