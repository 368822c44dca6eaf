import { setTimeout as wait } from "node:timers/promises";
import { undecided } from "../../../authority/errors.ts";
import type { Line } from "../line.ts";
import type { Session, Statement } from "../session.ts";
import type { Node } from "./node.ts";

/** What a read must know of the node that asks. */
export type AskingNode = Pick<Node, "appliedRevision" | "requireServing" | "freshness">;

/** Reads the rows of a statement, from a server that knows every change that this node knows of. */
export type Ask = <Row>(statement: Statement, values?: readonly unknown[]) => Promise<readonly Row[]>;

export const readHead: Statement = {
  name: "read_head",
  text: "SELECT revision FROM token_authority.journal ORDER BY revision DESC LIMIT 1",
};
const attempts = 5;
const firstPauseMs = 5;

/** What a server answered, and the newest change that it knew of by then. */
export type AskedOf<Row> = { readonly head: number; readonly rows: readonly Row[] };

/** Makes the reads of a line. */
export function createAsk(line: Line, node: AskingNode): Ask {
  return (statement, values) =>
    askUntilFresh(line, node, async (session) => {
      // One pipeline: what the second one sees is no older than what the first one saw.
      const [head, answer] = await Promise.all([
        session.run<{ readonly revision: number }>(readHead),
        session.run<never>(statement, values),
      ]);
      return { head: head.rows[0]?.revision ?? 0, rows: answer.rows };
    });
}

/**
 * Asks until the answer is no older than what the node had applied before, and comes while the node has a lease: a
 * server that renews none may have been the primary once. A read whose session is lost is asked again of another one.
 * So is one that a server answers which is behind, as a standby that a proxy has chosen. Throws UNDECIDED when no
 * answer comes.
 */
export async function askUntilFresh<Row>(
  line: Line,
  node: AskingNode,
  ask: (session: Session) => Promise<AskedOf<Row>>,
): Promise<readonly Row[]> {
  let failure: unknown = new Error("the server that answers is behind this node, or renews no lease");
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    node.requireServing();
    if (!hasLease(node)) {
      await node.freshness.untilFresh();
    }
    const applied = node.appliedRevision();
    const session = await line.session();
    try {
      const { head, rows } = await ask(session);
      if (head >= applied && hasLease(node)) {
        return rows;
      }
    } catch (error) {
      if (!session.isLost()) {
        throw undecided(error);
      }
      failure = error;
    }
    await wait(firstPauseMs * 2 ** attempt);
  }
  throw undecided(failure);
}

function hasLease({ freshness }: AskingNode): boolean {
  return freshness.leaseMs() > 0;
}
