import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "pg";
import { settleMs } from "../../../authority/lease.ts";

/** Rows of nodes at one moment, by their ids. */
export type SeenNodes = ReadonlyMap<string, SeenNode>;
type SeenNode = { readonly id: string; readonly name: string; readonly renewals: string };

/** Every version of the schema is before this one: the greatest number of an integer. */
const anyVersion = 2_147_483_647;

/** Looks at the nodes, and returns once those of them that live have renewed their leases. */
export async function watchNodes(client: Client, olderThan = anyVersion): Promise<SeenNodes> {
  const seen = await look(client, olderThan);
  if (seen.size > 0) {
    await wait(settleMs);
  }
  return seen;
}

/**
 * The names of the nodes that have renewed their leases since, or that were not there. A node that renews none is dead,
 * whatever its row says. To be asked under the lock row, for what a node that starts checks under it as well.
 */
export async function livingNodes(client: Client, seen: SeenNodes, olderThan = anyVersion): Promise<readonly string[]> {
  const found = [...(await look(client, olderThan)).values()];
  return found.flatMap(({ id, name, renewals }) => (seen.get(id)?.renewals === renewals ? [] : [name])).toSorted();
}

async function look(client: Client, olderThan: number): Promise<SeenNodes> {
  const { rows } = await client.query<SeenNode>(
    "SELECT id::text, name, renewals::text FROM token_authority.node WHERE schema_version < $1",
    [olderThan],
  );
  return new Map(rows.map((row) => [row.id, row]));
}
