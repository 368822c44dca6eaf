import { setTimeout as wait } from "node:timers/promises";
import { undecided } from "../../../authority/errors.ts";
import type { Line } from "../line.ts";
import type { Session, Statement } from "../session.ts";
import type { Node } from "./node.ts";
import type { ChangeRow } from "./node-rules.ts";

/** What a read must know of the node that asks. */
export type AskingNode = Pick<Node, "appliedRevision" | "requireServing" | "freshness" | "poll" | "take">;

/** Reads the rows of a statement, from a server that knows every change that this node knows of. */
export type Ask = <Row>(statement: Statement, values?: readonly unknown[]) => Promise<readonly Row[]>;

export const readNewestRevision: Statement = {
  name: "read_newest_revision",
  text: "SELECT revision FROM token_authority.journal ORDER BY revision DESC LIMIT 1",
};
const attempts = 5;
const maxUnderWay = 2;
const maxWaiting = 1000;
const firstPauseMs = 5;

/** What a server answered, and the newest change that it knew of by then. */
export type AskedOf<Row> = { readonly head: number; readonly rows: readonly Row[] };

/**
 * Makes the reads of a line. By its answer the node knows of every change that a read saw. A few are under way at a
 * time, in the order in which they are asked: a server that falls behind is not given more.
 */
export function createAsk(line: Line, node: AskingNode): Ask {
  const places = createPlaces();
  return (statement, values) =>
    places.take(() =>
      askUntilFresh(line, node, async (session) => {
        const applied = node.appliedRevision();
        const poll = node.poll();
        // One pipeline: what each of them sees is no older than what the one before it saw.
        const [heads, answer, changes] = await Promise.all([
          session.run<{ readonly revision: number }>(readNewestRevision),
          session.run<never>(statement, values),
          session.run<ChangeRow>(poll.statement, poll.values),
        ]);
        const head = heads.rows[0]?.revision ?? 0;
        if (head >= applied) {
          node.take(changes.rows);
        }
        return { head, rows: answer.rows };
      }),
    );
}

/** Lets so many run at once, and so many wait. */
function createPlaces(): { take<T>(run: () => Promise<T>): Promise<T> } {
  const waiting: (() => void)[] = [];
  let free = maxUnderWay;
  return {
    async take(run) {
      if (free === 0) {
        if (waiting.length >= maxWaiting) {
          throw undecided(new Error(`${maxWaiting} reads are waiting already`));
        }
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
      } else {
        free -= 1;
      }
      try {
        return await run();
      } finally {
        const next = waiting.shift();
        if (next === undefined) {
          free += 1;
        } else {
          next();
        }
      }
    },
  };
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
