import fc from "fast-check";
import { expect } from "vitest";

/** What the model knows of a token. Keys, accounts and their states are added to it with what can be done to them. */
type ModelToken = {
  readonly id: string;
  readonly account: string;
  /** The keys that were ever its own, newest first: a key, or what stands for it where there is none. */
  readonly keys: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  revoked: { readonly reason: string } | null;
};

/** What must be true of the tokens whatever has happened to the store. */
export type Model = {
  nowMs: number;
  readonly tokens: ModelToken[];
  /** How many of the tokens the newest backup holds. Null before the first, and once it was restored. */
  backup: { readonly tokens: number } | null;
  /** How many tokens were ever made, to tell their names apart. */
  made: number;
};

/** What a key is good for, and what its token is called. */
export type Verdict = "accepted" | "revoked" | "expired" | "unknown";

/** The authority that is compared with the model, at one of its doors. */
export type Lifecycle = {
  create(token: { readonly account: string; readonly name: string; readonly expiresAtMs: number | null }): Promise<{
    readonly id: string;
    readonly key: string;
  }>;
  revoke(id: string, reason: string): Promise<void>;
  /** Asked of each view or thread of the authority. */
  verdictsOf(key: string): Promise<readonly Verdict[]>;
  /** The reason that the token was revoked for, also an empty one; null when it is not revoked. */
  revokeReasonOf(id: string): Promise<string | null>;
  setClock(nowMs: number): void;
  /** Ends in good order, and begins again. */
  restart(): Promise<void>;
  /** Ends without a warning, and begins again. */
  kill(): Promise<void>;
  backUp(): Promise<void>;
  /** Loses the database and everything since the backup but the log, and begins with these two. */
  restore(): Promise<void>;
  /** The fault that verify-journal finds, or null. */
  faultOfJournal(): Promise<string | null>;
};

type Command = fc.AsyncCommand<Model, Lifecycle>;

function emptyModel(nowMs: number): Model {
  return { nowMs, tokens: [], backup: null, made: 0 };
}

class Create implements Command {
  readonly #account: string;
  readonly #lifetimeMs: number | null;

  constructor(account: string, lifetimeMs: number | null) {
    this.#account = account;
    this.#lifetimeMs = lifetimeMs;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    model.made += 1;
    const expiresAtMs = this.#lifetimeMs === null ? null : model.nowMs + this.#lifetimeMs;
    const asked = { account: this.#account, name: `token ${model.made}`, expiresAtMs };
    const { id, key } = await authority.create(asked);
    const { account } = asked;
    model.tokens.push({ id, account, keys: [key], createdAtMs: model.nowMs, expiresAtMs, revoked: null });
    await requireAlike(model, authority, model.tokens.slice(-1));
  }

  toString = () => `create(${this.#account}, ${this.#lifetimeMs})`;
}

class Revoke implements Command {
  readonly #place: number;
  readonly #reason: string;

  constructor(place: number, reason: string) {
    this.#place = place;
    this.#reason = reason;
  }

  check = ({ tokens }: Readonly<Model>) => tokens.length > 0;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const token = pick(model.tokens, this.#place);
    await authority.revoke(token.id, this.#reason);
    token.revoked ??= { reason: this.#reason };
    await requireAlike(model, authority, [token]);
  }

  toString = () => `revoke(${this.#place}, ${JSON.stringify(this.#reason)})`;
}

class Wait implements Command {
  readonly #ms: number;

  constructor(ms: number) {
    this.#ms = ms;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    model.nowMs += this.#ms;
    authority.setClock(model.nowMs);
    await requireAlike(model, authority, model.tokens);
  }

  toString = () => `wait(${this.#ms})`;
}

class Begin implements Command {
  readonly #how: "restart" | "kill";

  constructor(how: "restart" | "kill") {
    this.#how = how;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    await authority[this.#how]();
    await requireAlike(model, authority, model.tokens);
    expect(await authority.faultOfJournal()).toBeNull();
  }

  toString = () => this.#how;
}

class BackUp implements Command {
  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    await authority.backUp();
    model.backup = { tokens: model.tokens.length };
  }

  toString = () => "back up";
}

class Restore implements Command {
  check = ({ backup }: Readonly<Model>) => backup !== null;

  /** What came after the backup is unknown from then on, and what was taken away since stays taken away. */
  async run(model: Model, authority: Lifecycle): Promise<void> {
    const lost = model.tokens.splice(model.backup?.tokens ?? 0);
    await authority.restore();
    await requireAlike(model, authority, model.tokens);
    for (const key of lost.flatMap(({ keys }) => keys)) {
      expect(new Set(await authority.verdictsOf(key))).toEqual(new Set(["unknown"]));
    }
    expect(await authority.faultOfJournal()).toBeNull();
    // The one before is of another history.
    model.backup = null;
  }

  toString = () => "restore";
}

function verdictOf({ revoked, expiresAtMs }: ModelToken, nowMs: number): Verdict {
  if (revoked !== null) {
    return "revoked";
  }
  return expiresAtMs !== null && nowMs >= expiresAtMs ? "expired" : "accepted";
}

/** Asks about these tokens at every view, and wants what the model says. */
async function requireAlike(model: Model, authority: Lifecycle, tokens: readonly ModelToken[]): Promise<void> {
  for (const token of tokens) {
    for (const key of token.keys) {
      expect(new Set(await authority.verdictsOf(key))).toEqual(new Set([verdictOf(token, model.nowMs)]));
    }
    expect(await authority.revokeReasonOf(token.id)).toBe(token.revoked?.reason ?? null);
  }
}

function pick(tokens: readonly ModelToken[], place: number): ModelToken {
  const token = tokens[place % tokens.length];
  if (token === undefined) {
    throw new RangeError("there is no token to pick from");
  }
  return token;
}

/** Everything that can happen to tokens, in any order. Without a clock that can be moved, nothing expires. */
export function lifecycles({
  maxCommands,
  hasClock,
}: {
  readonly maxCommands: number;
  readonly hasClock: boolean;
}): fc.Arbitrary<Iterable<Command>> {
  const account = fc.constantFrom("acct_1", "acct_2");
  const lifetimeMs = hasClock ? fc.option(fc.integer({ min: 1000, max: 100_000 })) : fc.constant(null);
  const place = fc.nat({ max: 100 });
  const create = fc.tuple(account, lifetimeMs).map((two) => new Create(...two));
  const revoke = fc.tuple(place, fc.constantFrom("", "leaked", "“here”")).map((two) => new Revoke(...two));
  const wait = fc.integer({ min: 1, max: 60_000 }).map((ms) => new Wait(ms));
  const begin = fc.constantFrom("restart" as const, "kill" as const).map((how) => new Begin(how));
  const backUp = fc.constant(new BackUp());
  const restore = fc.constant(new Restore());
  const all = [create, create, revoke, revoke, begin, backUp, restore, ...(hasClock ? [wait] : [])];
  return fc.commands(all, { maxCommands, size: "max" });
}

/** Runs these commands on an authority that begins empty. */
export async function live(authority: Lifecycle, commands: Iterable<Command>, nowMs: number): Promise<void> {
  await fc.asyncModelRun(() => ({ model: emptyModel(nowMs), real: authority }), commands);
}
