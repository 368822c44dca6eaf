import { setTimeout as sleep } from "node:timers/promises";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Random } from "../support/random.ts";
import type { GatewayProcess } from "./gateway-process.ts";
import { History, now } from "./history.ts";
import type { Rig } from "./rig.ts";

const keyCount = 12;
const askersPerGateway = 4;
const maxPauseMs = 6;
const maxChangeMs = 30_000;
const settleMs = 150;

/** A key of this round. */
type Subject = { readonly name: string; readonly tokenId: string; readonly key: string; isChanged: boolean };

/** Fresh keys, gateways that are asked about them all the time, and changes of them, while something fails. */
export class Round {
  readonly rig: Rig;
  readonly random: Random;
  readonly history = new History();
  /** How long each change took, in ms. */
  readonly waitsMs: number[] = [];
  readonly #subjects: Subject[] = [];
  readonly #changes: Promise<void>[] = [];
  #isOver = false;

  constructor(rig: Rig, random: Random) {
    this.rig = rig;
    this.random = random;
  }

  /** Runs the scenario under load, and returns once everything is answered. */
  async run(scenario: (round: Round) => Promise<void>): Promise<void> {
    await this.#createKeys();
    const askers = this.rig.gateways.flatMap((gateway) =>
      Array.from({ length: askersPerGateway }, () => this.#askAllTheTime(gateway)),
    );
    await sleep(settleMs);
    await scenario(this);
    await Promise.all(this.#changes);
    await sleep(settleMs);
    this.#isOver = true;
    await Promise.all(askers);
  }

  /** Begins to revoke so many keys, and waits for none of them. */
  revoke(count: number): void {
    for (const subject of this.#subjects.filter(({ isChanged }) => !isChanged).slice(0, count)) {
      subject.isChanged = true;
      this.#changes.push(this.#revoke(subject));
    }
  }

  /** Revokes so many keys at times of this span. */
  async revokeOver(ms: number, count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      await sleep(this.random.below((2 * ms) / count));
      this.revoke(1);
    }
  }

  async #createKeys(): Promise<void> {
    const create = async (index: number) => {
      const { token, key } = await this.#call((client) =>
        client.call(TokenService.method.create, {
          account: `acct_${index % 4}`,
          name: "freshness",
          type: TokenType.SECRET,
          livemode: true,
        }),
      );
      this.#subjects.push({ name: `k${index}`, tokenId: token?.id ?? "", key, isChanged: false });
    };
    await Promise.all(Array.from({ length: keyCount }, (_, index) => create(index)));
  }

  async #askAllTheTime(gateway: GatewayProcess): Promise<void> {
    while (!this.#isOver) {
      const { name, key } = this.random.pick(this.#subjects);
      const holder = gateway.holder();
      const call = now();
      const answer = await gateway.ask(key);
      const returned = now();
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
  async #revoke({ name, tokenId }: Subject): Promise<void> {
    const call = now();
    const ask = () =>
      this.#call((client) => client.call(TokenService.method.revoke, { id: tokenId, reason: "a round of the suite" }));
    const asks = [ask()];
    if (this.random.chance(0.4)) {
      asks.push(sleep(this.random.below(1500)).then(ask));
    }
    await Promise.any(asks);
    const returned = now();
    this.history.add({ key: name, holder: "", verdict: "refuse", call, return: returned });
    this.waitsMs.push((returned - call) / 1e6);
    await Promise.all(asks);
  }

  /** Again, until it is answered: the authority may be gone for a while. */
  async #call<T>(call: (client: NonNullable<ReturnType<Rig["client"]>>) => Promise<T>): Promise<T> {
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
      await sleep(25);
    }
  }
}
