import type { Scenario } from "../runner/bench-context.ts";
import { measureBefore } from "./before.ts";
import { measureBeside } from "./beside.ts";
import { measureBulk } from "./bulk.ts";
import { measureCache } from "./cache.ts";
import { measureChanges } from "./changes.ts";
import { measureCheck } from "./check.ts";
import { measureClaims } from "./claims.ts";
import { measureEdge } from "./edge.ts";
import { measureGet } from "./get.ts";
import { measureHot, measureHotTls } from "./hot.ts";
import { measureLatency } from "./latency.ts";
import { measureList } from "./list.ts";
import { measureLoads } from "./loads.ts";
import { measureOthers } from "./others.ts";
import { measurePostgres } from "./postgres.ts";
import { measureProfile } from "./profile.ts";
import { measureRandom } from "./random.ts";
import { measureRestart } from "./restart.ts";
import { measureStart } from "./start.ts";
import { measureThreads } from "./threads.ts";
import { measureTracing } from "./tracing.ts";
import { measureUnknown } from "./unknown.ts";
import { measureWatchers } from "./watchers.ts";

/** In this order: the later ones change the database. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  start: measureStart,
  restart: measureRestart,
  before: measureBefore,
  claims: measureClaims,
  loads: measureLoads,
  hot: measureHot,
  tls: measureHotTls,
  latency: measureLatency,
  random: measureRandom,
  check: measureCheck,
  cache: measureCache,
  tracing: measureTracing,
  others: measureOthers,
  unknown: measureUnknown,
  threads: measureThreads,
  get: measureGet,
  list: measureList,
  beside: measureBeside,
  changes: measureChanges,
  bulk: measureBulk,
  watchers: measureWatchers,
  edge: measureEdge,
  postgres: measurePostgres,
  profile: measureProfile,
};

/** Run only when they are asked for by name. */
export const onlyWhenAsked: readonly string[] = ["before", "profile"];

/** What `--large` runs: 10 million tokens would only make the others take longer. */
export const largeScenarios: readonly string[] = ["start", "restart", "random"];
