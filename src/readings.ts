import { leaseMs } from "./authority/lease.ts";
import type { TokenReads } from "./authority/token-store.ts";
import { type PortName, soonest } from "./calls/port/caller-watch.ts";
import { decidingRpcs } from "./calls/rpcs.ts";
import type { Counts } from "./doors/console/figures.ts";
import { mergeRefused } from "./doors/console/refused-keys.ts";
import type { CertificateEnd, NodesState, ServiceState } from "./doors/console/service-state.ts";
import type { NodeReadings, NodeState } from "./stores/postgres/serving/node.ts";
import { refusalReasons } from "./stores/postgres/serving/node-rules.ts";
import type { StorageStats } from "./stores/storage-stats.ts";
import type { UpstreamReadings } from "./stores/upstream/upstream.ts";
import { bucketsMs, type CallMeasures } from "./telemetry/prometheus/call-measures.ts";
import type { GaugeSource } from "./telemetry/prometheus/metrics.ts";
import type { ThreadReadings } from "./thread.ts";
import { version } from "./version.ts";

/** Where the readings come from. */
export type GaugedParts = {
  /** Null at an edge. */
  readonly store: Pick<TokenReads, "head"> | null;
  /** Null where nothing is kept on this machine's disk. */
  readonly stats: (() => StorageStats) | null;
  /** Those of all threads, taken just now. */
  readonly readings: () => readonly ThreadReadings[];
  readonly isServing: () => boolean;
  readonly logLinesDropped: () => number;
  /** Connections to the admin port that were cut. */
  readonly adminRefused: () => number;
  readonly hasTls: boolean;
  readonly hasRestTls: boolean;
  readonly hasUpstreamTls: boolean;
};

/** What the metrics read when they are asked for, by name. */
export function gaugeSources(parts: GaugedParts): Readonly<Record<string, GaugeSource>> {
  const { store, stats, readings, isServing, logLinesDropped, adminRefused, hasTls, hasRestTls, hasUpstreamTls } =
    parts;
  const nodes = () => readings().flatMap(({ node }) => node ?? []);
  const upstreams = () => readings().flatMap(({ upstream }) => upstream ?? []);
  const holders = () => readings().map((one) => one.holders);
  const ports = () => readings().flatMap((one) => [...one.ports.values()]);
  const peers = () => ports().flatMap((port) => port.peers ?? []);
  return {
    token_authority_build_info: {
      help: "1, with the version that runs.",
      labelNames: ["version"],
      read: () => [{ labels: { version }, value: 1 }],
    },
    token_authority_log_lines_dropped_total: {
      help: "Log lines that were lost since the start, for standard output took none.",
      type: "counter",
      read: logLinesDropped,
    },
    token_authority_serving: {
      help: "1 while calls can be answered, else 0.",
      read: () => (isServing() ? 1 : 0),
    },
    ...(store === null ? upstreamGauges(upstreams, hasUpstreamTls) : storeGauges(store, isServing)),
    ...(stats === null ? {} : diskGauges(stats)),
    ...(store === null || stats !== null ? {} : nodeGauges(nodes)),
    token_authority_clock_behind_seconds: {
      help: "By how much the system's clock is behind the greatest time seen.",
      read: () => Math.max(0, ...readings().map(({ clockBehindMs }) => clockBehindMs)) / 1000,
    },
    token_authority_watchers: {
      help: "Open streams of Watch.",
      read: () => sum(holders().map(({ open }) => open)),
    },
    token_authority_lease_holders: {
      help: "Callers of Watch that hold a lease and have acknowledged all that they were told.",
      read: () => sum(holders().map((one) => one.holders)),
    },
    token_authority_leases_granted_total: {
      type: "counter",
      help: "Leases that were granted since the start.",
      read: () => sum(holders().map(({ leasesGranted }) => leasesGranted)),
    },
    token_authority_watch_resets_total: {
      type: "counter",
      help: "Callers of Watch that had to forget everything, since the start.",
      read: () => sum(holders().map(({ resets }) => resets)),
    },
    token_authority_reported_uses_total: {
      type: "counter",
      help: "Keys that gateways have accepted from their caches and reported, since the start.",
      read: () => sum(holders().map(({ reportedUses }) => reportedUses)),
    },
    token_authority_changes_settled_total: {
      type: "counter",
      help: "Changes that were answered once no holder of a lease decided by what was before, since the start.",
      read: () => sum(holders().map(({ settled }) => settled)),
    },
    token_authority_change_wait_seconds_total: {
      type: "counter",
      help: "What changes have waited for holders of leases since the start, all together.",
      read: () => sum(holders().map(({ waitedMs }) => waitedMs)) / 1000,
    },
    token_authority_changes_waited_out_total: {
      type: "counter",
      help: "Changes that had to wait until leases were over, since the start.",
      read: () => sum(holders().map(({ waitedOut }) => waitedOut)),
    },
    token_authority_silent_holders_total: {
      type: "counter",
      help: "Times that a holder of a lease did not acknowledge in time, since the start.",
      labelNames: ["caller"],
      read: () =>
        [...sumByKey(holders().map(({ silent }) => silent))].map(([caller, value]) => ({ labels: { caller }, value })),
    },
    token_authority_threads: { help: "Threads that serve.", read: () => readings().length },
    token_authority_connections: {
      help: "Open connections.",
      read: () => sum(ports().map(({ connections }) => connections.open)),
    },
    token_authority_held_bytes: {
      help: "What connections hold of requests that are not whole and of answers that are not taken.",
      read: () => sum(readings().map(({ bytes }) => bytes.heldBytes)),
    },
    token_authority_connections_cut_total: {
      type: "counter",
      help: "Connections that were cut since the start because they held the most of too many bytes.",
      read: () => sum(readings().map(({ bytes }) => bytes.cut)),
    },
    token_authority_connections_refused_total: {
      type: "counter",
      help: "Connections that were refused or cut since the start because there were too many.",
      read: () => adminRefused() + sum(ports().map(({ connections }) => connections.refused)),
    },
    token_authority_large_headers_total: {
      type: "counter",
      help: "Requests that were refused since the start because their header was too large.",
      read: () => sum(ports().map(({ largeHeaders }) => largeHeaders)),
    },
    ...(hasTls
      ? {
          token_authority_certificate_expiry_timestamp_seconds: {
            help: "When the server's certificate expires, in Unix seconds.",
            read: () => (certificateEndOf("rpc", readings()) ?? 0) / 1000,
          },
        }
      : {}),
    token_authority_peers_refused_total: {
      type: "counter",
      help: "Connections over TLS whose peers may not call, and calls of identities that the callers file does not name, by reason.",
      labelNames: ["port", "reason"],
      read: () =>
        peers().flatMap(({ port, refused }) =>
          [...refused].map(([reason, value]) => ({ labels: { port, reason }, value })),
        ),
    },
    token_authority_caller_certificate_expiry_timestamp_seconds: {
      help: "When the certificate expires that a caller has shown lately, the soonest of its own, in Unix seconds.",
      labelNames: ["caller"],
      read: () =>
        [...soonest(...peers().map(({ certificateEndsMs }) => certificateEndsMs))].map(([caller, endMs]) => ({
          labels: { caller },
          value: endMs / 1000,
        })),
    },
    ...(hasRestTls
      ? {
          token_authority_rest_certificate_expiry_timestamp_seconds: {
            help: "When the certificate of the REST API expires, in Unix seconds.",
            read: () => (certificateEndOf("rest", readings()) ?? 0) / 1000,
          },
        }
      : {}),
  };
}

function storeGauges(
  store: NonNullable<GaugedParts["store"]>,
  isServing: () => boolean,
): Readonly<Record<string, GaugeSource>> {
  return {
    token_authority_journal_revision: {
      help: "The number of the newest change; 0 while it cannot be read.",
      read: () => (isServing() ? store.head().revision : 0),
    },
  };
}

function diskGauges(stats: () => StorageStats): Readonly<Record<string, GaugeSource>> {
  return {
    token_authority_database_bytes: { help: "Size of the database file.", read: () => stats().databaseBytes },
    token_authority_wal_bytes: { help: "Size of the write-ahead log.", read: () => stats().walBytes },
    token_authority_reserve_bytes: {
      help: "Size of the ballast that Revoke lives on when the disk is full.",
      read: () => stats().ballastBytes,
    },
    token_authority_disk_free_bytes: {
      help: "Free room on the disk of the data directory.",
      read: () => stats().freeBytes,
    },
  };
}

/** Each thread is a node. What one number says of them all is of the one that is worst off. */
function nodeGauges(nodes: () => readonly NodeReadings[]): Readonly<Record<string, GaugeSource>> {
  return {
    token_authority_nodes: {
      help: "Nodes of the database, of all processes, as this one saw them last, by whether they renew their leases.",
      labelNames: ["state"],
      read: () => {
        const all = rowsOf(nodes());
        const alive = all.filter(({ isAlive }) => isAlive).length;
        return [
          { labels: { state: "alive" }, value: alive },
          { labels: { state: "silent" }, value: all.length - alive },
        ];
      },
    },
    token_authority_nodes_behind_changes: {
      help: "How many changes the node that is furthest behind has not acknowledged, of those that renew their leases.",
      read: () => behindOf(nodes()),
    },
    token_authority_node_applied_revision: {
      help: "The newest change that each thread of this process has applied.",
      read: () => least(nodes().map(({ appliedRevision }) => appliedRevision)),
    },
    token_authority_node_acknowledged_revision: {
      help: "The newest change that each thread of this process and its gateways have acknowledged.",
      read: () => least(nodes().map(({ acknowledgedRevision }) => acknowledgedRevision)),
    },
    token_authority_node_behind_changes: {
      help: "Changes that the database has told of and a thread of this process has not applied yet.",
      read: () => Math.max(0, ...nodes().map(({ behind }) => behind)),
    },
    token_authority_node_lease_seconds: {
      help: "For how long keys may be decided on, on the thread that has least left; 0 without a lease.",
      read: () => least(nodes().map(({ leaseLeftMs }) => leaseLeftMs)) / 1000,
    },
    token_authority_node_renewals_total: {
      type: "counter",
      help: "Renewals of leases that the database has answered, since the start.",
      read: () => sum(nodes().map(({ renewals }) => renewals)),
    },
    token_authority_node_lapses_total: {
      type: "counter",
      help: "Times that a lease of this process ran out, since the start.",
      read: () => sum(nodes().map(({ lapses }) => lapses)),
    },
    token_authority_node_in_grace: {
      help: "Threads that decide from memory by GRACE_MS, because the database cannot be reached.",
      read: () => nodes().filter(({ isInGrace }) => isInGrace).length,
    },
    token_authority_node_refusing: {
      help: "Threads that serve nothing, by reason.",
      labelNames: ["reason"],
      read: () =>
        refusalReasons.map((reason) => ({
          labels: { reason },
          value: nodes().filter(({ refusal }) => refusal === reason).length,
        })),
    },
    token_authority_node_clock_apart_seconds: {
      help: "By how much the clock of this process is ahead of the database's, less than 0 when it is behind.",
      read: () => (nodes().find(({ clockApartMs }) => clockApartMs !== null)?.clockApartMs ?? 0) / 1000,
    },
    token_authority_database_synchronous: {
      help: "1 while a COMMIT waits for a standby, else 0.",
      read: () => (nodes().some(({ isSynchronous }) => isSynchronous === true) ? 1 : 0),
    },
  };
}

/** As one of the threads saw them last. */
function rowsOf(nodes: readonly NodeReadings[]): readonly NodeState[] {
  return nodes[0]?.nodes ?? [];
}

function behindOf(nodes: readonly NodeReadings[]): number {
  const known = Math.max(0, ...nodes.map(({ appliedRevision }) => appliedRevision));
  const alive = rowsOf(nodes).filter(({ isAlive }) => isAlive);
  return Math.max(0, ...alive.map(({ acknowledgedRevision }) => known - acknowledgedRevision));
}

function least(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : Math.min(...numbers);
}

function upstreamGauges(
  upstreams: () => readonly UpstreamReadings[],
  hasTls: boolean,
): Readonly<Record<string, GaugeSource>> {
  return {
    token_authority_edge_hits_total: {
      type: "counter",
      help: "Decisions from memory since the start, by outcome.",
      labelNames: ["outcome"],
      read: () => [
        { labels: { outcome: "accepted" }, value: sum(upstreams().map(({ accepted }) => accepted)) },
        { labels: { outcome: "refused" }, value: sum(upstreams().map(({ refused }) => refused)) },
      ],
    },
    token_authority_edge_asked_total: {
      type: "counter",
      help: "Decisions that the upstream authority was asked for since the start.",
      read: () => sum(upstreams().map(({ asked }) => asked)),
    },
    token_authority_edge_unanswered_total: {
      type: "counter",
      help: "Decisions that the upstream authority did not answer, since the start.",
      read: () => sum(upstreams().map(({ failed }) => failed)),
    },
    token_authority_edge_lease_seconds: {
      help: "For how long memory may be decided from, on the thread that has least left; 0 without a lease.",
      read: () => Math.min(leaseMs, ...upstreams().map(({ leaseLeftMs }) => leaseLeftMs)) / 1000,
    },
    token_authority_edge_keys: {
      help: "Keys that are kept in memory.",
      read: () => sum(upstreams().map(({ keys }) => keys)),
    },
    ...(hasTls
      ? {
          token_authority_edge_certificate_expiry_timestamp_seconds: {
            help: "When the certificate expires that the edge shows its authority, in Unix seconds; 0 when it cannot be read.",
            read: () => Math.min(...upstreams().map(({ certificateEndsMs }) => certificateEndsMs ?? 0)) / 1000,
          },
        }
      : {}),
  };
}

/** When the certificate of a port ends, in Unix milliseconds; null where no thread shows one. */
function certificateEndOf(port: PortName, readings: readonly ThreadReadings[]): number | null {
  const ends = readings.flatMap(({ ports }) => ports.get(port)?.certificateExpiresAtMs ?? []);
  return ends.length === 0 ? null : Math.min(...ends);
}

type StateParts = {
  /** Those of all threads, taken just now. */
  readonly readings: readonly ThreadReadings[];
  /** Null where nothing is kept on this machine's disk. */
  readonly storage: StorageStats | null;
} & Pick<ServiceState, "uptimeMs" | "host" | "address" | "isServing" | "revision"> & {
    readonly minFreeBytes: number;
  };

const maxWatchers = 100;
const maxNodes = 100;

/** How the service is, for the console. */
export function stateOf(parts: StateParts): ServiceState {
  const { readings, storage } = parts;
  const nodes = readings.flatMap(({ node }) => node ?? []);
  return {
    version,
    uptimeMs: parts.uptimeMs,
    host: parts.host,
    address: parts.address,
    threads: readings.length,
    isServing: parts.isServing,
    disk:
      storage === null
        ? null
        : {
            databaseBytes: storage.databaseBytes,
            freeBytes: storage.freeBytes,
            minFreeBytes: parts.minFreeBytes,
          },
    nodes: nodes.length === 0 ? null : nodesState(nodes),
    certificates: certificateEnds(readings),
    refused: mergeRefused(readings.flatMap(({ refused }) => refused)),
    revision: parts.revision,
    watchers: readings
      .flatMap(({ holders }) => holders.states)
      .toSorted((a, b) => a.acknowledged - b.acknowledged)
      .slice(0, maxWatchers),
    watcherCount: sum(readings.map(({ holders }) => holders.open)),
  };
}

/** The nodes of the database, for the console: those of this process first, then those that know least. */
function nodesState(own: readonly NodeReadings[]): NodesState {
  const names = new Set(own.map(({ name }) => name));
  const namesakes = new Set(own.flatMap(({ nodes }) => nodes.filter((row) => row.isNamesake)).map(({ name }) => name));
  const rows = rowsOf(own).map((row) => ({
    ...row,
    isOwn: names.has(row.name) && !row.isNamesake,
    isNamesake: namesakes.has(row.name),
  }));
  return {
    refusal: own.find(({ refusal }) => refusal !== null)?.refusal ?? null,
    inGrace: own.filter(({ isInGrace }) => isInGrace).length,
    isSynchronous: own.find(({ isSynchronous }) => isSynchronous !== null)?.isSynchronous ?? null,
    clockApartMs: own.find(({ clockApartMs }) => clockApartMs !== null)?.clockApartMs ?? null,
    count: rows.length,
    rows: rows
      .toSorted(
        (a, b) =>
          Number(b.isOwn) - Number(a.isOwn) ||
          a.acknowledgedRevision - b.acknowledgedRevision ||
          (a.name < b.name ? -1 : 1),
      )
      .slice(0, maxNodes),
  };
}

/**
 * When certificates end, for the console: the server's own and those that its callers have shown of late, the soonest
 * first.
 */
function certificateEnds(readings: readonly ThreadReadings[]): readonly CertificateEnd[] {
  const own = (of: "server" | "rest", endsAtMs: number | null): readonly CertificateEnd[] =>
    endsAtMs === null ? [] : [{ of, caller: null, endsAtMs }];
  const ports = readings.flatMap((one) => [...one.ports.values()]);
  const shown = soonest(...ports.flatMap(({ peers }) => peers?.certificateEndsMs ?? []));
  return [
    ...own("server", certificateEndOf("rpc", readings)),
    ...own("rest", certificateEndOf("rest", readings)),
    ...[...shown].map(([caller, endsAtMs]) => ({ of: "caller" as const, caller, endsAtMs })),
  ].sort((one, other) => one.endsAtMs - other.endsAtMs);
}

/** What the console plots, of everything that is measured. */
export function countsOf({ durations, refusals }: CallMeasures): Counts {
  const decided = Array.from({ length: bucketsMs.length + 1 }, () => 0);
  let undecided = 0;
  for (const { rpc, code, counts } of durations) {
    if (!decidingRpcs.has(rpc)) {
      continue;
    }
    for (const [at, count] of counts.entries()) {
      if (code === "OK") {
        decided[at] = (decided[at] ?? 0) + count;
      } else {
        undecided += count;
      }
    }
  }
  return { decided, undecided, refusals };
}

function sumByKey(maps: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const [key, value] of maps.flatMap((map) => [...map])) {
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return sums;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
