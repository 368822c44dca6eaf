// Draws docs/images/dashboard.svg: the panels of examples/grafana/dashboard.json with what a real Prometheus scraped
// from a real authority under load, an edge of it, and two nodes over a PostgreSQL. It is a drawing of ours, not
// Grafana.
//
//   npm run draw-dashboard -- [SECONDS]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../../src/authority/key.ts";
import { migrateTokens } from "../postgres/databases.ts";
import { serverRole, startPostgres } from "../support/postgres.ts";
import { startServerProcess } from "../support/server-process.ts";
import { unpackDebianPackages } from "../support/tools.ts";

type Panel = {
  readonly title: string;
  readonly type: "stat" | "timeseries";
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  readonly fieldConfig: { readonly defaults: { readonly unit: string } };
};

type Answer = {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly values: readonly (readonly [seconds: number, value: string])[];
    }[];
  };
};

type Tokens = Client<typeof TokenService>;

type Series = { readonly name: string; readonly points: readonly (readonly [seconds: number, value: number])[] };

const root = resolve(import.meta.dirname, "../../..");
const prometheusAddress = "127.0.0.1:19090";
const seconds = Number(process.argv[2] ?? 180);
const colours = ["#3274d9", "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#8f8f8f", "#1f9ea6", "#b8860b"];
const column = 50;
const row = 30;

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-dashboard-"));
const secret = join(scratch.path, "secret");
writeFileSync(secret, Buffer.alloc(32, 7), { mode: 0o600 });
await using server = await startServerProcess({
  dataDirectory: join(scratch.path, "data"),
  sealingSecret: secret,
  settings: { ADMIN_LISTEN: "127.0.0.1:0", THREADS: "2" },
});
await using edge = await startServerProcess({
  dataDirectory: scratch.path,
  sealingSecret: secret,
  settings: { ADMIN_LISTEN: "127.0.0.1:0", UPSTREAM: server.address },
});
await using database = await startPostgres({ version: 15 });
await migrateTokens(database);
const startNode = () =>
  startServerProcess({
    dataDirectory: scratch.path,
    sealingSecret: secret,
    settings: { ADMIN_LISTEN: "127.0.0.1:0", DATABASE: database.url(serverRole), THREADS: "2" },
  });
await using node = await startNode();
await using otherNode = await startNode();
const { path } = await unpackDebianPackages(["prometheus"]);
const config = join(scratch.path, "prometheus.yaml");
const targets = [server, edge, node, otherNode].map(({ adminAddress }) => adminAddress);
writeFileSync(
  config,
  JSON.stringify({
    global: { scrape_interval: "2s" },
    scrape_configs: [{ job_name: "token-authority", static_configs: [{ targets }] }],
  }),
);
const flags = [`--config.file=${config}`, `--storage.tsdb.path=${join(scratch.path, "tsdb")}`];
const prometheus = spawn("prometheus", [...flags, `--web.listen-address=${prometheusAddress}`], {
  env: { PATH: `${path}:${process.env.PATH}` },
  stdio: "ignore",
});
try {
  await load(seconds * 1000);
  await draw();
} finally {
  const ended = once(prometheus, "exit");
  prometheus.kill();
  await ended;
}

/**
 * More and more calls for a third of the time, with refusals of several kinds; then a part of them is of a revoked key.
 */
async function load(durationMs: number): Promise<void> {
  const [tokens, atEdge, atNode] = [server, edge, node].map(({ address }) =>
    createClient(TokenService, createGrpcTransport({ baseUrl: `http://${address}` })),
  ) as [Tokens, Tokens, Tokens];
  const create = () => tokens.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
  const { key } = await create();
  const ofNode = await atNode.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
  const revoked = await create();
  await tokens.revoke({ id: revoked.token?.id ?? "", reason: "found in public" });
  const startMs = Date.now();
  while (Date.now() - startMs < durationMs) {
    const share = (Date.now() - startMs) / durationMs;
    const calls = Array.from({ length: Math.ceil(5 + 20 * Math.min(1, 3 * share)) }, (_, at) => {
      const isOld = share > 0.6 && at % 4 === 0;
      const isUnknown = at % 10 === 9;
      return tokens.authenticate({ key: isOld ? revoked.key : isUnknown ? mintKey("secret", true) : key });
    });
    const elsewhere = [atEdge.authenticate({ key }), atNode.authenticate({ key: ofNode.key })];
    await Promise.all([...calls, ...elsewhere, create(), tokens.list({ account: "acct_1", pageSize: 10 })]);
    if (share > 0.3) {
      // One waits for the edge, the other for the nodes.
      const made = await atNode.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
      await Promise.all([
        atNode.revoke({ id: made.token?.id ?? "" }),
        tokens.revoke({ id: (await create()).token?.id ?? "" }),
      ]);
    }
    await tokens.get({ id: "tok_none" }).catch(() => {});
    await sleep(100);
  }
}

async function draw(): Promise<void> {
  const { panels } = JSON.parse(readFileSync(join(root, "examples/grafana/dashboard.json"), "utf8"));
  const endSeconds = Math.floor(Date.now() / 1000);
  const drawn: string[] = [];
  for (const panel of panels as Panel[]) {
    drawn.push(panelOf(panel, await seriesOf(panel, endSeconds), endSeconds));
  }
  const width = 24 * column;
  const height = Math.max(...(panels as Panel[]).map(({ gridPos: { y, h } }) => (y + h) * row));
  const style = "text{font-family:sans-serif;font-size:11px;fill:#333}.title{font-weight:bold;font-size:12px}";
  mkdirSync(join(root, "docs/images"), { recursive: true });
  writeFileSync(
    join(root, "docs/images/dashboard.svg"),
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><title>The dashboard of the token authority</title><style>${style}</style><rect width="${width}" height="${height}" fill="#f4f5f5"/>${drawn.join("\n")}</svg>\n`,
  );
}

async function seriesOf({ targets }: Panel, end: number): Promise<readonly Series[]> {
  const all = await Promise.all(
    targets.map(async ({ expr, legendFormat }) => {
      const query = expr
        .replaceAll("$job", "token-authority")
        .replaceAll("$instance", ".*")
        .replaceAll("$__rate_interval", "20s");
      const search = new URLSearchParams({ query, start: String(end - seconds), end: String(end), step: "2" });
      const response = await fetch(`http://${prometheusAddress}/api/v1/query_range?${search}`);
      const answer = (await response.json()) as Answer;
      if (answer.status !== "success") {
        throw new Error(`${expr}: ${answer.error}`);
      }
      return answer.data.result.map(({ metric, values }) => ({
        name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? ""),
        points: values.map(([at, value]) => [at, Number(value)] as const).filter(([, value]) => Number.isFinite(value)),
      }));
    }),
  );
  return all.flat();
}

function panelOf({ title, type, gridPos, fieldConfig }: Panel, series: readonly Series[], end: number): string {
  const [x, y, w, h] = [gridPos.x * column + 3, gridPos.y * row + 3, gridPos.w * column - 6, gridPos.h * row - 6];
  const { unit } = fieldConfig.defaults;
  const frame = `<rect width="${w}" height="${h}" fill="#fff" stroke="#d8d9da"/><text class="title" x="8" y="16">${escaped(title)}</text>`;
  const inside = type === "stat" ? stat(series, unit, w, h) : lines(series, unit, w, h, end);
  return `<g transform="translate(${x} ${y})">${frame}${inside}</g>`;
}

function stat(series: readonly Series[], unit: string, w: number, h: number): string {
  const last = series[0]?.points.at(-1)?.[1];
  const text = last === undefined ? "no data" : printed(last, unit);
  return `<text x="${w / 2}" y="${h / 2 + 18}" text-anchor="middle" style="font-size:26px;fill:#37872d">${text}</text>`;
}

function lines(series: readonly Series[], unit: string, w: number, h: number, end: number): string {
  const [left, top, right, bottom] = [62, 28, w - 10, h - 42];
  const greatest = Math.max(1e-9, ...series.flatMap(({ points }) => points.map(([, value]) => value))) * 1.05;
  const toX = (at: number) => left + ((at - end + seconds) / seconds) * (right - left);
  const toY = (value: number) => bottom - (Math.max(0, value) / greatest) * (bottom - top);
  const grid = [0, 0.5, 1].map((part) => {
    const at = toY(part * greatest);
    return `<line x1="${left}" x2="${right}" y1="${at}" y2="${at}" stroke="#e5e5e5"/><text x="${left - 4}" y="${at + 4}" text-anchor="end">${printed(part * greatest, unit)}</text>`;
  });
  const drawn = series.map(({ points }, index) => {
    const path = points.map(([at, value]) => `${toX(at).toFixed(1)},${toY(value).toFixed(1)}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colours[index % colours.length]}" stroke-width="1.5"/>`;
  });
  let place = 8;
  let line = h - 22;
  const legend = series.map(({ name }, index) => {
    const short = name.replace("casapay.token.v1.TokenService/", "");
    if (place + short.length * 7.2 + 20 > w) {
      place = 8;
      line += 14;
    }
    const text = `<rect x="${place}" y="${line - 8}" width="9" height="9" fill="${colours[index % colours.length]}"/><text x="${place + 13}" y="${line}">${escaped(short)}</text>`;
    place += short.length * 7.2 + 28;
    return text;
  });
  return [...grid, ...drawn, ...legend].join("");
}

function printed(value: number, unit: string): string {
  if (unit === "bytes") {
    return value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB` : `${(value / 2 ** 20).toFixed(1)} MiB`;
  }
  if (unit === "s" && value < 1) {
    return value < 0.001 ? `${(value * 1e6).toFixed(0)} µs` : `${(value * 1000).toFixed(1)} ms`;
  }
  const text = Number.isInteger(value) ? String(value) : value.toPrecision(3);
  return unit === "s" ? `${text} s` : unit === "reqps" ? `${text}/s` : text;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
