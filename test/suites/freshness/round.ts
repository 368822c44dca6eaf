import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { type SetHoldRequest, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Random } from "../support/random.ts";
import type { TokenClient } from "../support/token-client.ts";
import type { Gateway, Holder } from "./gateway-process.ts";
import { History, now } from "./history.ts";

const plainKeys = 8;
const askersPerHolder = 4;
const maxPauseMs = 6;
const maxChangeMs = 60_000;
const settleMs = 150;
const { method: rpc } = TokenService;

type HeldSubject = Exclude<SetHoldRequest["subject"], { case: undefined }>;

/** A key of this round. A hidden one is not asked about yet. */
type Subject = { readonly name: string; readonly tokenId: string; readonly key: string; isHidden: boolean };

/** What makes some keys refused, or accepted again. It may be asked for more than once. */
type Change = {
  readonly subjects: readonly Subject[];
  readonly verdict: "accept" | "refuse";
  ask(client: TokenClient): Promise<unknown>;
  /** What can be changed once it was answered. */
  readonly next: readonly Change[];
};

/** What a round is played on. */
export type Stage = {
  readonly gateways: readonly Gateway[];
  /** Who is asked all the time: the gateways, and whoever else decides on keys. */
  readonly holders: readonly Holder[];
  /** To an authority, without a link; null while there is none. */
  client(): TokenClient | null;
};

/** Fresh keys, holders that are asked about them all the time, and changes of them, while something fails. */
export class Round<Rig extends Stage = Stage> {
  readonly rig: Rig;
  readonly random: Random;
  readonly history = new History();
  /** How long each change took, in ms, with all that was asked for it while there was no authority. */
  readonly waitsMs: number[] = [];
  /** How long the calls took that were answered, in ms. */
  readonly callsMs: number[] = [];
  readonly #subjects: Subject[] = [];
  /** What may be changed next. */
  readonly #waiting: Change[] = [];
  readonly #changes: Promise<void>[] = [];
  readonly #id = randomUUID();
  #isOver = false;

  constructor(rig: Rig, random: Random) {
    this.rig = rig;
    this.random = random;
  }

  /** Runs the scenario under load, and returns once everything is answered. */
  async run(scenario: (round: Round<Rig>) => Promise<void>): Promise<void> {
    await this.#prepare();
    const askers = this.rig.holders.flatMap((holder) =>
      Array.from({ length: askersPerHolder }, () => this.#askAllTheTime(holder)),
    );
    await sleep(settleMs);
    await scenario(this);
    await Promise.all(this.#changes);
    await sleep(settleMs);
    this.end();
    await Promise.all(askers);
  }

  /** Nothing more is asked. */
  end(): void {
    this.#isOver = true;
  }

  /** Begins so many changes, and waits for none of them. */
  change(count: number): void {
    for (const change of this.#waiting.splice(0, count)) {
      this.#changes.push(this.#make(change));
    }
  }

  /** Makes so many changes at times of this span. */
  async changeOver(ms: number, count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      await sleep(this.random.below((2 * ms) / count));
      this.change(1);
    }
  }

  /** Asks one more holder all the time, as long as this is played. */
  async askAlso(holder: Holder, play: () => Promise<void>): Promise<void> {
    let isPlayed = false;
    const askers = Array.from({ length: askersPerHolder }, () => this.#askAllTheTime(holder, () => isPlayed));
    await play();
    isPlayed = true;
    await Promise.all(askers);
  }

  /** A new key, which is revoked soon after somebody has asked about it for the first time. */
  async changeWhileFirstAsked(): Promise<void> {
    const subject = await this.#create(`acct_${this.#id}`, true);
    subject.isHidden = false;
    await sleep(this.random.below(40));
    this.#changes.push(this.#make(this.#revocationOf(subject)));
  }

  async #prepare(): Promise<void> {
    const plain = await this.#createMany(`acct_${this.#id}`, plainKeys);
    const held = await this.#createMany(`held_${this.#id}`, 2);
    const closed = await this.#createMany(`closed_${this.#id}`, 2);
    const [heldAlone, rotated] = await this.#createMany(`other_${this.#id}`, 2);
    const all = [
      ...plain.map((subject) => this.#revocationOf(subject)),
      this.#closureOf(`closed_${this.#id}`, closed),
      this.#holdOf({ case: "account", value: `held_${this.#id}` }, held),
    ];
    if (heldAlone !== undefined && rotated !== undefined) {
      all.push(this.#holdOf({ case: "tokenId", value: heldAlone.tokenId }, [heldAlone]));
      await this.#rotate(rotated);
      all.push(this.#endOfRotationOf(rotated));
    }
    while (all.length > 0) {
      this.#waiting.push(...all.splice(this.random.below(all.length), 1));
    }
  }

  #createMany(account: string, count: number): Promise<Subject[]> {
    return Promise.all(Array.from({ length: count }, () => this.#create(account, false)));
  }

  async #create(account: string, isHidden: boolean): Promise<Subject> {
    const asked = { account, name: "freshness", type: TokenType.SECRET, livemode: true };
    const { token, key } = await this.#call((client) => client.call(rpc.create, asked));
    return this.#add(token?.id ?? "", key, isHidden);
  }

  #add(tokenId: string, key: string, isHidden: boolean): Subject {
    const subject = { name: `k${this.#subjects.length}`, tokenId, key, isHidden };
    this.#subjects.push(subject);
    return subject;
  }

  /** Both keys are good until the rotation is ended. */
  async #rotate({ tokenId }: Subject): Promise<void> {
    const asked = { id: tokenId, overlap: { seconds: 86_400n }, requestId: randomUUID() };
    const { key } = await this.#call((client) => client.call(rpc.rotateKey, asked));
    this.#add(tokenId, key, false);
  }

  #revocationOf(subject: Subject): Change {
    const ask = (client: TokenClient) => client.call(rpc.revoke, { id: subject.tokenId, reason: "a round" });
    return { subjects: [subject], verdict: "refuse", ask, next: [] };
  }

  #closureOf(account: string, subjects: readonly Subject[]): Change {
    const ask = (client: TokenClient) => client.call(rpc.closeAccount, { account, reason: "a round" });
    return { subjects, verdict: "refuse", ask, next: [] };
  }

  #endOfRotationOf(subject: Subject): Change {
    const what = { case: "cutOldNow", value: true } as const;
    const ask = (client: TokenClient) => client.call(rpc.endRotation, { id: subject.tokenId, what });
    return { subjects: [subject], verdict: "refuse", ask, next: [] };
  }

  /** Is lifted later. */
  #holdOf(subject: HeldSubject, subjects: readonly Subject[]): Change {
    const ask = (held: boolean) => (client: TokenClient) => client.call(rpc.setHold, { subject, held });
    const lifting: Change = { subjects, verdict: "accept", ask: ask(false), next: [] };
    return { subjects, verdict: "refuse", ask: ask(true), next: [lifting] };
  }

  async #askAllTheTime(asked: Holder, isEnough: () => boolean = () => false): Promise<void> {
    while (!this.#isOver && !isEnough()) {
      const { name, key } = this.random.pick(this.#subjects.filter(({ isHidden }) => !isHidden));
      const before = asked.holder();
      const call = now();
      const answer = await asked.ask(key);
      const returned = now();
      // What is asked in one life and answered in the next belongs to neither.
      const holder = asked.holder() === before ? before : `${before} to ${asked.holder()}`;
      if (answer === null) {
        await sleep(20);
        continue;
      }
      if (answer.verdict === "undecided") {
        this.history.undecided += 1;
        await sleep(20);
        continue;
      }
      this.history.answers += 1;
      this.history.cacheHits += answer.source === "cache" ? 1 : 0;
      this.history.add({ key: name, holder, verdict: answer.verdict, call, return: returned });
      await sleep(this.random.below(maxPauseMs));
    }
  }

  /** Its call is the first time that it was asked for, its return the first answer. Some are asked for twice. */
  async #make({ subjects, verdict, ask, next }: Change): Promise<void> {
    const call = now();
    const measured = async (client: TokenClient) => {
      const calledAt = now();
      await ask(client);
      this.callsMs.push((now() - calledAt) / 1e6);
    };
    const asks = [this.#call(measured)];
    if (this.random.chance(0.4)) {
      asks.push(sleep(this.random.below(1500)).then(() => this.#call(measured)));
    }
    await Promise.any(asks);
    const returned = now();
    for (const { name } of subjects) {
      this.history.add({ key: name, holder: "", verdict, call, return: returned });
    }
    this.waitsMs.push((returned - call) / 1e6);
    await Promise.all(asks);
    this.#waiting.unshift(...next);
  }

  /** Again, until it is answered: the authority may be gone for a while. */
  async #call<T>(call: (client: TokenClient) => Promise<T>): Promise<T> {
    const deadlineMs = performance.now() + maxChangeMs;
    for (;;) {
      const client = this.rig.client();
      try {
        if (client !== null) {
          return await call(client);
        }
      } catch (error) {
        if (performance.now() > deadlineMs) {
          throw error;
        }
      }
      if (this.#isOver) {
        // Of a round that was given up nobody waits for this, and a timer would keep the suite from its end.
        return await new Promise<never>(() => {});
      }
      await sleep(25);
    }
  }
}
