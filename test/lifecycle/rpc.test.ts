import { randomUUID } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, it } from "vitest";
import { TokenState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { RotationEnd } from "../../src/authority/token-store.ts";
import { toDuration } from "../../src/doors/rpc/duration.ts";
import { toTimestamp } from "../../src/doors/rpc/timestamp.ts";
import { AuthorityProcess, clientOf, temporaryDirectory } from "../support/authority-process.ts";
import { type Lifecycle, lifecycles, live, type RotateRefusal, type Subject, type Verdict } from "./model.ts";

/** So many connections, each of which the kernel gives to one of two threads. */
const connections = 6;

const verdictOfReason: ReadonlyMap<RefusalReason, Verdict> = new Map([
  [RefusalReason.KEY_UNKNOWN, "unknown"],
  [RefusalReason.TOKEN_REVOKED, "revoked"],
  [RefusalReason.KEY_RETIRED, "retired"],
  [RefusalReason.TOKEN_EXPIRED, "expired"],
  [RefusalReason.TOKEN_HELD, "token_held"],
  [RefusalReason.ACCOUNT_HELD, "account_held"],
  [RefusalReason.ACCOUNT_CLOSED, "account_closed"],
]);

/** Null where the call is refused because the account is closed. */
async function unlessClosed<T>(call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    if (ConnectError.from(error).rawMessage === "the account is closed for good") {
      return null;
    }
    throw error;
  }
}

function refusalIn(error: unknown): RotateRefusal {
  const [reason] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  const refusals: ReadonlyMap<string, RotateRefusal> = new Map([
    ["ACCOUNT_CLOSED", "closed"],
    ["TOKEN_NOT_ACTIVE", "not_active"],
    ["ROTATION_UNDER_WAY", "under_way"],
    ["ROTATION_NOT_UNDER_WAY", "under_way"],
  ]);
  const refusal = refusals.get(reason?.reason ?? "");
  if (refusal === undefined) {
    throw error;
  }
  return refusal;
}

/** A process of two threads, which is killed for true. */
class RpcLifecycle implements Lifecycle, AsyncDisposable {
  readonly #here = temporaryDirectory();
  #process: AuthorityProcess | null = null;
  #clients: readonly ReturnType<typeof clientOf>[] = [];
  #backups = 0;

  async open(): Promise<void> {
    this.#process = new AuthorityProcess(this.#here.path, [], { TOKEN_AUTHORITY_THREADS: "2" });
    const address = await this.#process.address();
    this.#clients = Array.from({ length: connections }, () => clientOf(address));
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#process?.child.kill(signal);
    await this.#process?.ended();
  }

  async #run(...args: readonly string[]): Promise<string | null> {
    await using command = new AuthorityProcess(this.#here.path, args);
    return (await command.ended()) === 0 ? null : `${command.stdout}${command.stderr}`;
  }

  async #mustRun(...args: readonly string[]): Promise<void> {
    const fault = await this.#run(...args);
    if (fault !== null) {
      throw new Error(fault);
    }
  }

  get #client() {
    const [client] = this.#clients;
    if (client === undefined) {
      throw new Error("the process was not started");
    }
    return client;
  }

  async create({ account, name }: Parameters<Lifecycle["create"]>[0]) {
    const created = await unlessClosed(this.#client.create({ account, name, type: TokenType.SECRET }));
    return created === null ? null : { id: created.token?.id ?? "", key: created.key };
  }

  async revokeAllOf(account: string, reason: string) {
    const filter = { account };
    const { upToRevision } = await this.#client.revokeTokens({ filter });
    const asked = { filter, force: true, upToRevision, reason };
    // An account that nobody has heard of may be asked for before anything was ever changed.
    return upToRevision === 0n ? 0 : (await this.#client.revokeTokens(asked)).revoked;
  }

  async setHold(subject: Subject, held: boolean) {
    const named =
      "tokenId" in subject
        ? ({ case: "tokenId", value: subject.tokenId } as const)
        : ({ case: "account", value: subject.account } as const);
    return (await unlessClosed(this.#client.setHold({ subject: named, held }))) !== null;
  }

  async closeAccount(account: string) {
    await this.#client.closeAccount({ account });
  }

  async revoke(id: string, reason: string) {
    await this.#client.revoke({ id, reason });
  }

  async rotate(id: string, overlapMs: number) {
    const requestId = randomUUID();
    const ask = () => this.#client.rotateKey({ id, overlap: toDuration(overlapMs), requestId });
    try {
      const { key } = await ask();
      expect(await ask()).toMatchObject({ key });
      return { key };
    } catch (error) {
      return refusalIn(error);
    }
  }

  async endRotation(id: string, end: RotationEnd) {
    const what = {
      cut: { case: "cutOldNow", value: true } as const,
      cancel: { case: "cancel", value: true } as const,
      move: { case: "moveEnd", value: toTimestamp(end.kind === "move" ? end.endsAtMs : 0) } as const,
    }[end.kind];
    try {
      await this.#client.endRotation({ id, what });
      return "done";
    } catch (error) {
      const refusal = refusalIn(error);
      return refusal === "not_active" ? refusal : "not_under_way";
    }
  }

  async use() {
    throw new Error("what the process accepts is recorded some time");
  }

  verdictsOf(key: string) {
    return Promise.all(
      this.#clients.map(async (client): Promise<Verdict> => {
        const { outcome } = await client.authenticate({ key });
        if (outcome.case === "principal") {
          return "accepted";
        }
        const verdict = verdictOfReason.get(outcome.value?.reason ?? RefusalReason.UNSPECIFIED);
        if (verdict === undefined) {
          throw new Error(`refused for ${outcome.value?.reason}`);
        }
        return verdict;
      }),
    );
  }

  async revokeReasonOf(id: string) {
    const { token } = await this.#client.get({ id });
    return token?.state === TokenState.REVOKED ? token.revokeReason : null;
  }

  setClock() {
    throw new Error("the process has the clock of the machine");
  }

  async restart() {
    await this.#end("SIGTERM");
    await this.open();
  }

  async kill() {
    await this.#end("SIGKILL");
    await this.open();
  }

  /** A stop in good order notes in the log how far it reaches: a log that ends before the backup restores nothing. */
  async backUp() {
    await this.restart();
    this.#backups += 1;
    await this.#mustRun("backup", "data", `backup-${this.#backups}.db`);
  }

  async restore() {
    await this.#end("SIGKILL");
    const log = join(this.#here.path, `log-${this.#backups}`);
    renameSync(join(this.#here.path, "data", "revocations.log"), log);
    rmSync(join(this.#here.path, "data"), { recursive: true });
    await this.#mustRun("restore", `backup-${this.#backups}.db`, "data", "--revocations", log);
    await this.open();
  }

  faultOfJournal() {
    return this.#run("verify-journal", "data");
  }

  async [Symbol.asyncDispose]() {
    await this.#process?.[Symbol.asyncDispose]();
    this.#here[Symbol.dispose]();
  }
}

it("two threads of a process answer what the model says, whatever happens to it", { timeout: 240_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(lifecycles({ maxCommands: 14, hasClock: false }), async (commands) => {
      await using authority = new RpcLifecycle();
      await authority.open();
      await live(authority, commands, { nowMs: Date.now(), hasClock: false });
    }),
    { numRuns: 3, endOnFailure: true },
  );
});
