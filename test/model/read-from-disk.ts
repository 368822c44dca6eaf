import type { Answer } from "./local-cache.ts";
import type { Hub } from "./stream.ts";
import type { World } from "./world.ts";

/** An answer from the memory of the thread takes no time, one from its database may take long. */
export function readFromDisk(world: World, hub: Hub, token: number, take: (answer: Answer) => void): void {
  const { simulation, disk, history, isKept } = world;
  if (hub.isStopping) {
    return;
  }
  const sawRevision = disk.journal.length;
  const basis = history.basisAt(token, sawRevision);
  const readMs = simulation.random.pick([0, 0, 0, 0, 1, 1, 1, simulation.between(50, 2500)]);
  hub.thread.at(simulation.nowMs + readMs, () => {
    const revision = isKept("A1 revision") ? sawRevision : disk.journal.length;
    take({ basis, revision });
  });
}
