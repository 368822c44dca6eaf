import fc from "fast-check";
import { expect } from "vitest";
import type { RotationEnd } from "../../src/authority/token-store.ts";

type ModelKey = {
  readonly key: string;
  /** Null means with the token. */
  endsAtMs: number | null;
  /** Whether its acceptance is known to be recorded. */
  used: boolean;
};

/** What the model knows of a token. Keys, accounts and their states are added to it with what can be done to them. */
type ModelToken = {
  readonly id: string;
  readonly account: string;
  /** The keys that were ever its own, newest first. */
  keys: readonly ModelKey[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  revoked: { readonly reason: string } | null;
  held: boolean;
};

/** What the model knows of an account of which something was said. */
type ModelAccount = { held: boolean; closed: boolean };

/** What must be true of the tokens whatever has happened to the store. */
export type Model = {
  nowMs: number;
  /** Whether the clock is moved by hand, and acceptances recorded so. */
  readonly hasClock: boolean;
  readonly tokens: ModelToken[];
  readonly accounts: Map<string, ModelAccount>;
  /** What the newest backup holds: so many tokens, and their keys. Null before the first, and once it was restored. */
  backup: { readonly tokens: number; readonly keys: ReadonlyMap<string, { readonly used: boolean }> } | null;
  /** How many tokens were ever made, to tell their names apart. */
  made: number;
};

/** What a key is good for, and what its token is called. */
export type Verdict =
  | "accepted"
  | "revoked"
  | "retired"
  | "expired"
  | "unknown"
  | "token_held"
  | "account_held"
  | "account_closed";

export type RotateRefusal = "closed" | "not_active" | "under_way";

/** What is held or released. */
export type Subject = { readonly tokenId: string } | { readonly account: string };

/** The authority that is compared with the model, at one of its doors. */
export type Lifecycle = {
  /** Null where the account is closed. */
  create(token: { readonly account: string; readonly name: string; readonly expiresAtMs: number | null }): Promise<{
    readonly id: string;
    readonly key: string;
  } | null>;
  /** False where the account is closed. */
  setHold(subject: Subject, held: boolean): Promise<boolean>;
  closeAccount(account: string): Promise<void>;
  revoke(id: string, reason: string): Promise<void>;
  /** By filter, and how many that were. */
  revokeAllOf(account: string, reason: string): Promise<number>;
  /** Asked twice with one request id: answers the new key, or why there is none. */
  rotate(id: string, overlapMs: number): Promise<{ readonly key: string } | RotateRefusal>;
  endRotation(id: string, end: RotationEnd): Promise<"done" | "not_active" | "not_under_way">;
  /** Has the acceptance of the key recorded. */
  use(key: string): Promise<void>;
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

function emptyModel(nowMs: number, hasClock: boolean): Model {
  return { nowMs, hasClock, tokens: [], accounts: new Map(), backup: null, made: 0 };
}

function accountIn(model: Model, account: string): ModelAccount {
  const known = model.accounts.get(account) ?? { held: false, closed: false };
  model.accounts.set(account, known);
  return known;
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
    const created = await authority.create(asked);
    const { account } = asked;
    expect(created === null).toBe(accountIn(model, account).closed);
    if (created === null) {
      return;
    }
    const { id, key } = created;
    model.tokens.push({
      id,
      account,
      keys: [fresh(key)],
      createdAtMs: model.nowMs,
      expiresAtMs,
      revoked: null,
      held: false,
    });
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

class RevokeAllOf implements Command {
  readonly #account: string;

  constructor(account: string) {
    this.#account = account;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const meant = model.tokens.filter(({ account, revoked }) => account === this.#account && revoked === null);
    expect(await authority.revokeAllOf(this.#account, "all")).toBe(meant.length);
    for (const token of meant) {
      token.revoked = { reason: "all" };
    }
    await requireAlike(model, authority, meant);
  }

  toString = () => `revokeAllOf(${this.#account})`;
}

class Rotate implements Command {
  readonly #place: number;
  readonly #overlapMs: number;

  constructor(place: number, overlapMs: number) {
    this.#place = place;
    this.#overlapMs = overlapMs;
  }

  check = ({ tokens }: Readonly<Model>) => tokens.length > 0;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const token = pick(model.tokens, this.#place);
    const [newest, old] = liveKeys(token, model);
    const answer = await authority.rotate(token.id, this.#overlapMs);
    if (accountIn(model, token.account).closed) {
      expect(answer).toBe("closed");
    } else if (isOver(token, model)) {
      expect(answer).toBe("not_active");
    } else if (answer === "under_way") {
      // Without a clock, what was accepted is recorded some time.
      expect(old !== undefined && (newest?.used === true || !model.hasClock)).toBe(true);
    } else {
      expect(old !== undefined && newest?.used).not.toBe(true);
      const ended = old ?? newest;
      if (newest !== undefined && ended !== undefined) {
        newest.endsAtMs = model.nowMs;
        ended.endsAtMs = Math.min(model.nowMs + this.#overlapMs, token.expiresAtMs ?? Number.POSITIVE_INFINITY);
      }
      token.keys = [fresh(keyIn(answer)), ...token.keys];
    }
    await requireAlike(model, authority, [token]);
  }

  toString = () => `rotate(${this.#place}, ${this.#overlapMs})`;
}

class EndRotation implements Command {
  readonly #place: number;
  readonly #what: "cut" | "cancel" | { readonly moveToMs: number };

  constructor(place: number, what: "cut" | "cancel" | { readonly moveToMs: number }) {
    this.#place = place;
    this.#what = what;
  }

  check = ({ tokens }: Readonly<Model>) => tokens.length > 0;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const token = pick(model.tokens, this.#place);
    const what = this.#what;
    const end: RotationEnd =
      typeof what === "string" ? { kind: what } : { kind: "move", endsAtMs: model.nowMs + what.moveToMs };
    expect(await authority.endRotation(token.id, end)).toBe(
      isOver(token, model) ? "not_active" : this.#end(token, model),
    );
    await requireAlike(model, authority, [token]);
  }

  #end(token: ModelToken, model: Model): "done" | "not_under_way" {
    const live = liveKeys(token, model);
    const old = live.find(({ endsAtMs }) => endsAtMs !== null);
    const issued = live.find(({ endsAtMs }) => endsAtMs === null);
    if (old === undefined) {
      // Again is as before, where the key that is to go on does.
      const isAgain =
        token.keys.length > 1 && issued !== undefined && (issued === token.keys[0]) === (this.#what === "cut");
      return isAgain && typeof this.#what === "string" ? "done" : "not_under_way";
    }
    if (this.#what === "cancel") {
      old.endsAtMs = null;
      if (issued !== undefined) {
        issued.endsAtMs = model.nowMs;
      }
    } else {
      const endsAtMs = this.#what === "cut" ? model.nowMs : model.nowMs + this.#what.moveToMs;
      old.endsAtMs = Math.min(endsAtMs, this.#what === "cut" ? endsAtMs : (token.expiresAtMs ?? endsAtMs));
    }
    return "done";
  }

  toString = () => `end rotation(${this.#place}, ${JSON.stringify(this.#what)})`;
}

/** The newest key of a token is accepted, and that is recorded. */
class Use implements Command {
  readonly #place: number;

  constructor(place: number) {
    this.#place = place;
  }

  check = ({ tokens }: Readonly<Model>) => tokens.length > 0;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const [key] = pick(model.tokens, this.#place).keys;
    if (key !== undefined) {
      await authority.use(key.key);
      key.used = true;
    }
  }

  toString = () => `use(${this.#place})`;
}

function fresh(key: string): ModelKey {
  return { key, endsAtMs: null, used: false };
}

function keyIn(answer: { readonly key: string } | RotateRefusal): string {
  if (typeof answer === "string") {
    throw new Error(`a rotation was refused: ${answer}`);
  }
  return answer.key;
}

function isOver({ revoked, expiresAtMs }: ModelToken, { nowMs }: Model): boolean {
  return revoked !== null || (expiresAtMs !== null && nowMs >= expiresAtMs);
}

/** Newest first. */
function liveKeys({ keys }: ModelToken, { nowMs }: Model): readonly ModelKey[] {
  return keys.filter(({ endsAtMs }) => endsAtMs === null || endsAtMs > nowMs);
}

class HoldToken implements Command {
  readonly #place: number;
  readonly #held: boolean;

  constructor(place: number, held: boolean) {
    this.#place = place;
    this.#held = held;
  }

  check = ({ tokens }: Readonly<Model>) => tokens.length > 0;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const token = pick(model.tokens, this.#place);
    expect(await authority.setHold({ tokenId: token.id }, this.#held)).toBe(true);
    token.held = this.#held;
    await requireAlike(model, authority, [token]);
  }

  toString = () => `${this.#held ? "hold" : "release"} token(${this.#place})`;
}

class HoldAccount implements Command {
  readonly #account: string;
  readonly #held: boolean;

  constructor(account: string, held: boolean) {
    this.#account = account;
    this.#held = held;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    const account = accountIn(model, this.#account);
    expect(await authority.setHold({ account: this.#account }, this.#held)).toBe(!account.closed);
    account.held = account.closed ? account.held : this.#held;
    await requireAlike(model, authority, model.tokens);
  }

  toString = () => `${this.#held ? "hold" : "release"} account(${this.#account})`;
}

class Close implements Command {
  readonly #account: string;

  constructor(account: string) {
    this.#account = account;
  }

  check = () => true;

  async run(model: Model, authority: Lifecycle): Promise<void> {
    await authority.closeAccount(this.#account);
    accountIn(model, this.#account).closed = true;
    await requireAlike(model, authority, model.tokens);
  }

  toString = () => `close(${this.#account})`;
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
    const keys = model.tokens.flatMap((token) => token.keys);
    model.backup = { tokens: model.tokens.length, keys: new Map(keys.map(({ key, used }) => [key, { used }])) };
  }

  toString = () => "back up";
}

class Restore implements Command {
  check = ({ backup }: Readonly<Model>) => backup !== null;

  /** What came after the backup is unknown from then on, and what was taken away since stays taken away. */
  async run(model: Model, authority: Lifecycle): Promise<void> {
    const { tokens, keys } = model.backup ?? { tokens: 0, keys: new Map<string, { readonly used: boolean }>() };
    const lost = model.tokens.splice(tokens).flatMap((token) => token.keys);
    for (const token of model.tokens) {
      lost.push(...token.keys.filter(({ key }) => !keys.has(key)));
      // Each end that the log tells of is there again, also one that a lost key was to replace.
      token.keys = token.keys.flatMap((key) => (keys.has(key.key) ? [{ ...key, ...keys.get(key.key) }] : []));
    }
    await authority.restore();
    await requireAlike(model, authority, model.tokens);
    for (const { key } of lost) {
      expect(new Set(await authority.verdictsOf(key))).toEqual(new Set(["unknown"]));
    }
    expect(await authority.faultOfJournal()).toBeNull();
    // The one before is of another history.
    model.backup = null;
  }

  toString = () => "restore";
}

function verdictOf({ endsAtMs }: ModelKey, token: ModelToken, model: Model): Verdict {
  const account = accountIn(model, token.account);
  if (token.revoked !== null) {
    return "revoked";
  }
  if (endsAtMs !== null && model.nowMs >= endsAtMs) {
    return "retired";
  }
  if (token.expiresAtMs !== null && model.nowMs >= token.expiresAtMs) {
    return "expired";
  }
  if (account.closed) {
    return "account_closed";
  }
  if (token.held) {
    return "token_held";
  }
  return account.held ? "account_held" : "accepted";
}

/** Asks about these tokens at every view, and wants what the model says. */
async function requireAlike(model: Model, authority: Lifecycle, tokens: readonly ModelToken[]): Promise<void> {
  for (const token of tokens) {
    for (const key of token.keys) {
      expect(new Set(await authority.verdictsOf(key.key))).toEqual(new Set([verdictOf(key, token, model)]));
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
  const account = fc.constantFrom("acct_1", "acct_2", "acct_3");
  const lifetimeMs = hasClock ? fc.option(fc.integer({ min: 1000, max: 100_000 })) : fc.constant(null);
  const place = fc.nat({ max: 100 });
  const create = fc.tuple(account, lifetimeMs).map((two) => new Create(...two));
  const revoke = fc.tuple(place, fc.constantFrom("", "leaked", "“here”")).map((two) => new Revoke(...two));
  const revokeAllOf = fc.constantFrom("acct_2", "acct_3").map((name) => new RevokeAllOf(name));
  const holdToken = fc.tuple(place, fc.boolean()).map((two) => new HoldToken(...two));
  const holdAccount = fc.tuple(account, fc.boolean()).map((two) => new HoldAccount(...two));
  const close = fc.constantFrom("acct_2", "acct_3").map((name) => new Close(name));
  const overlapMs = hasClock ? fc.constantFrom(0, 1, 5000, 50_000) : fc.constantFrom(0, 3_600_000);
  const rotate = fc.tuple(place, overlapMs).map((two) => new Rotate(...two));
  const moveToMs = hasClock ? fc.constantFrom(0, 1, 70_000) : fc.constant(7_200_000);
  const what = fc.oneof(fc.constantFrom("cut" as const, "cancel" as const), fc.record({ moveToMs }));
  const endRotation = fc.tuple(place, what).map((two) => new EndRotation(...two));
  const use = place.map((one) => new Use(one));
  const rotations = [rotate, rotate, rotate, endRotation, endRotation, ...(hasClock ? [use] : [])];
  const wait = fc.integer({ min: 1, max: 60_000 }).map((ms) => new Wait(ms));
  const begin = fc.constantFrom("restart" as const, "kill" as const).map((how) => new Begin(how));
  const backUp = fc.constant(new BackUp());
  const restore = fc.constant(new Restore());
  const holds = [holdToken, holdToken, holdAccount, holdAccount, close];
  const all = [
    create,
    create,
    create,
    revoke,
    revoke,
    revokeAllOf,
    ...rotations,
    ...holds,
    begin,
    backUp,
    restore,
    ...(hasClock ? [wait] : []),
  ];
  return fc.commands(all, { maxCommands, size: "max" });
}

/** Runs these commands on an authority that begins empty. */
export async function live(
  authority: Lifecycle,
  commands: Iterable<Command>,
  { nowMs, hasClock }: Pick<Model, "nowMs" | "hasClock">,
): Promise<void> {
  await fc.asyncModelRun(() => ({ model: emptyModel(nowMs, hasClock), real: authority }), commands);
}
