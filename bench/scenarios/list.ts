import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type ListRequestSchema, ListResponseSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { authority } from "../baselines/authority.ts";
import { encode } from "../loads/calls.ts";
import { type GrpcConnection, openGrpcConnection } from "../loads/grpc-connection.ts";
import { bigAccount } from "../population/seeded-token.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { formatNumber, median } from "../runner/figures.ts";
import { type ListFilter, listFilters } from "./list-filters.ts";

const pageSize = 50;
const maxPages = 200;
const nameWidth = 48;
const numberWidth = 10;

/** List with each filter, in all accounts and in the big one: the first page, and the way to 50 tokens. */
export async function measureList(context: BenchContext): Promise<void> {
  const server = await context.start(authority());
  using connection = await openGrpcConnection(server.address);
  const filters = listFilters(context.population);
  await measureFilters(context, connection, "List, all accounts", filters);
  await measureFilters(
    context,
    connection,
    "List, the account with 10 000 tokens",
    filters.map(({ name, request }) => ({ name, request: { ...request, account: bigAccount } })),
  );
}

async function measureFilters(
  context: BenchContext,
  connection: GrpcConnection,
  title: string,
  filters: readonly ListFilter[],
): Promise<void> {
  const heads = ["1st page", "least", "greatest", "tokens", "to 1st", "to 50", "to 50"];
  console.log(`\n${title.padEnd(nameWidth)}${heads.map((head) => head.padStart(numberWidth)).join("")}`);
  const units = ["ms", "ms", "ms", "1st page", "pages", "pages", "ms"];
  console.log(`${" ".repeat(nameWidth)}${units.map((unit) => unit.padStart(numberWidth)).join("")}`);
  for (const { name, request } of filters) {
    await listPage(connection, request, "");
    const firstPages: readonly Page[] = await inTurn(context.rounds, () => listPage(connection, request, ""));
    const tookMs = firstPages.map((page) => page.tookMs);
    const way = await walk(connection, request);
    const columns = [
      formatNumber(median(tookMs)),
      formatNumber(Math.min(...tookMs)),
      formatNumber(Math.max(...tookMs)),
      String(firstPages[0]?.tokens ?? 0),
      way.pagesToFirst === null ? "none" : String(way.pagesToFirst),
      way.found < pageSize ? `${way.pages} (end)` : String(way.pages),
      formatNumber(way.tookMs),
    ];
    console.log(`  ${name.padEnd(nameWidth - 2)}${columns.map((text) => text.padStart(numberWidth)).join("")}`);
  }
}

async function inTurn<T>(times: number, run: () => Promise<T>): Promise<readonly T[]> {
  const results: T[] = [];
  while (results.length < times) {
    results.push(await run());
  }
  return results;
}

type Page = { readonly tokens: number; readonly next: string; readonly tookMs: number };

async function listPage(
  connection: GrpcConnection,
  request: MessageInitShape<typeof ListRequestSchema>,
  pageToken: string,
): Promise<Page> {
  const { path, message } = encode(TokenService.method.list, { ...request, pageSize, pageToken });
  const startMs = performance.now();
  const answer = await connection.call(path, message);
  const tookMs = performance.now() - startMs;
  if (answer.status !== "0") {
    throw new Error(`List was answered with status ${answer.status}`);
  }
  const { tokens, nextPageToken } = fromBinary(ListResponseSchema, answer.message);
  return { tokens: tokens.length, next: nextPageToken, tookMs };
}

/** Goes on until 50 tokens are found or nothing is left. */
async function walk(connection: GrpcConnection, request: MessageInitShape<typeof ListRequestSchema>) {
  let pages = 0;
  let found = 0;
  let tookMs = 0;
  let pagesToFirst: number | null = null;
  let next = "";
  do {
    const page = await listPage(connection, request, next);
    pages += 1;
    found += page.tokens;
    tookMs += page.tookMs;
    pagesToFirst ??= found > 0 ? pages : null;
    next = page.next;
  } while (found < pageSize && next !== "" && pages < maxPages);
  return { pages, found, tookMs, pagesToFirst };
}
