import { settleMs } from "../../src/authority/lease.ts";
import { ModelHub } from "./model-hub.ts";
import { ProjectHub } from "./project-hub.ts";
import type { Span, Thread } from "./simulation.ts";
import type { Hub } from "./stream.ts";
import type { World } from "./world.ts";

/** What somebody wants changed. It may be asked for more than once: then it is made once. */
export type Wish = {
  readonly token: number | null;
  readonly account: number | null;
  readonly askedAtMs: number;
  revision: number | null;
  isAnswered: boolean;
};

/** In its deaf times a thread does not hear that another one has changed something. */
export type ServingThread = { readonly thread: Thread; readonly deaf: readonly Span[] };

const lookMs = 20;
const maxStopMs = 4000;

/** One process of the authority: a database and several threads, each with gateways that watch. */
export class Authority {
  readonly hubs: readonly Hub[];
  readonly #world: World;
  readonly #threads: readonly Thread[];
  readonly #waitsUntilMs: number;

  constructor(world: World, threads: readonly [ServingThread, ...ServingThread[]]) {
    this.#world = world;
    this.#threads = threads.map(({ thread }) => thread);
    const HubOfPieces = world.pieces === "model" ? ModelHub : ProjectHub;
    this.hubs = threads.map(({ thread, deaf }) => new HubOfPieces(world, thread, deaf));
    const hasOldLeases = world.disk.hasMarker && world.isKept("M1 crash");
    this.#waitsUntilMs = hasOldLeases ? threads[0].thread.clockMs() + settleMs : 0;
  }

  isDead(): boolean {
    return this.#threads.every(({ isDead }) => isDead);
  }

  kill(): void {
    for (const thread of this.#threads) {
      thread.isDead = true;
    }
  }

  /** Ends as soon as no gateway holds a lease, or after some seconds, and takes the mark from the disk if it can. */
  stop(): void {
    const { disk } = this.#world;
    const [thread] = this.#threads;
    const startMs = thread?.clockMs() ?? 0;
    for (const hub of this.hubs) {
      hub.stop();
    }
    const look = () => {
      const hasEnded = thread !== undefined && thread.clockMs() - startMs > maxStopMs;
      const isOver = this.hubs.every((hub) => !hub.hasLeases()) && (thread?.clockMs() ?? 0) >= this.#waitsUntilMs;
      if (isOver || !this.#world.isKept("M2 stop")) {
        disk.hasMarker = false;
        this.kill();
      } else if (hasEnded) {
        this.kill();
      } else {
        thread?.after(lookMs, look);
      }
    };
    look();
  }

  /** A caller's Revoke, or another call that takes away or gives back, has arrived at this thread. */
  change(hub: Hub, wish: Wish): void {
    const { simulation, isKept } = this.#world;
    const { thread } = hub;
    if (hub.isStopping) {
      return;
    }
    if (wish.revision !== null) {
      const { revision } = wish;
      if (isKept("R3 retry")) {
        this.#settle(hub, wish, revision);
      } else {
        this.#answer(wish, revision);
      }
      return;
    }
    const commitMs = simulation.random.chance(0.95) ? simulation.between(0.5, 5) : simulation.between(5, 800);
    thread.at(simulation.nowMs + commitMs, () => {
      wish.revision ??= this.#commit(wish);
      const { revision } = wish;
      thread.at(simulation.nowMs + simulation.between(0.02, 0.5), () => this.#settle(hub, wish, revision));
    });
  }

  #commit({ token, account }: Wish): number {
    const { simulation, history, disk } = this.#world;
    const revision = disk.journal.length + 1;
    disk.journal.push({ revision, token, account });
    if (token !== null) {
      history.changedToken(token, revision);
    }
    if (account !== null) {
      history.changedAccount(account, revision);
    }
    for (const hub of this.hubs) {
      hub.wake(simulation.nowMs + simulation.between(0.05, 2));
    }
    return revision;
  }

  #settle(hub: Hub, wish: Wish, revision: number): void {
    const { isKept } = this.#world;
    const { thread } = hub;
    const startMs = thread.clockMs();
    const waited = isKept("R4 threads") ? this.hubs : [hub];
    const boundMs = isKept("R2 bound") ? settleMs : 50;
    const look = () => {
      const nowMs = thread.clockMs();
      const isAcknowledged = nowMs >= this.#waitsUntilMs && waited.every(({ settled }) => settled >= revision);
      if (isAcknowledged || nowMs - startMs >= boundMs || !isKept("R1 wait")) {
        this.#answer(wish, revision);
      } else {
        thread.after(lookMs, look);
      }
    };
    look();
  }

  #answer(wish: Wish, revision: number): void {
    wish.isAnswered = true;
    this.#world.history.answered(revision, wish.askedAtMs);
  }
}
