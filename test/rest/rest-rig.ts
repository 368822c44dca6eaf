import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TestServer } from "../support/test-server.ts";
import { undocumentedIn } from "./documented.ts";

export type RestRequest = {
  readonly key?: string;
  readonly header?: Readonly<Record<string, string>>;
  /** An object goes as JSON, a text as it is. */
  readonly body?: object | string;
};

export type TokenJson = {
  readonly id: string;
  readonly key: string;
  readonly [name: string]: unknown;
};

export type RestAnswer = {
  readonly status: number;
  readonly header: Headers;
  readonly text: string;
  /** The answer as a token, a list and an error: whichever it is. */
  readonly json: TokenJson & {
    readonly data: readonly TokenJson[];
    readonly has_more: boolean;
    readonly error: {
      readonly type: string;
      readonly code: string;
      readonly message: string;
      readonly param: string | null;
    };
  };
};

// The thread of the REST API has the system's clock, and the greatest time that another thread has seen: in the future,
// that is a test's.
const aheadMs = 30 * 60 * 1000;

/** The whole authority with its REST API. Holds every answer against the OpenAPI document. */
export class RestRig extends TestServer {
  override readonly clock = { nowMs: Date.now() + aheadMs };

  /** Whose keys are made. */
  account = "acct_1";
  #accounts = 1;

  /** For those who make more than an account may make in a second. */
  goOnWithAnotherAccount(): void {
    this.#accounts += 1;
    this.account = `acct_${this.#accounts}`;
  }

  override async issue(request: Parameters<TestServer["issue"]>[0] = {}) {
    return await super.issue({ account: this.account, ...request });
  }

  static override async start(environment: Readonly<Record<string, string>> = {}): Promise<RestRig> {
    const rig = new RestRig();
    const secret = join(rig.directory, "sealing-secret");
    writeFileSync(secret, randomBytes(32), { mode: 0o600 });
    await rig.start({
      TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_SEALING_SECRET: secret,
      ...environment,
    });
    return rig;
  }

  async call(method: string, path: string, { key, header, body }: RestRequest = {}): Promise<RestAnswer> {
    await this.showTime();
    const json = typeof body === "object";
    const response = await fetch(`http://${this.server.restAddress}${path}`, {
      method,
      headers: {
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(json ? { "content-type": "application/json" } : {}),
        ...header,
      },
      ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : body }),
    });
    const text = await response.text();
    const answer = { status: response.status, header: response.headers, text };
    expect(undocumentedIn(method, path, answer)).toBeNull();
    return { ...answer, json: text === "" ? {} : JSON.parse(text) };
  }

  /** Lets the thread of the REST API see the time, by a call that another thread answers. */
  async showTime(): Promise<void> {
    await this.tokens.list({ account: "acct_0" });
  }

  /** Status and code of an answer; the code of one that is no error is "ok". */
  async codeOf(method: string, path: string, request: RestRequest = {}): Promise<string> {
    const { status, json } = await this.call(method, path, request);
    return status === 200 ? "200 ok" : `${status} ${json.error.code}`;
  }

  /**
   * What is measured. Behind it, everything that was logged until now is there: a thread's readings follow its lines.
   */
  async metrics(): Promise<string> {
    return await (await fetch(`http://${this.server.adminAddress}/metrics`)).text();
  }

  /** The log's fields of what bearers asked for. */
  async bearerCalls(): Promise<readonly object[]> {
    await this.metrics();
    return this.logged.map(({ fields }) => fields).filter((fields) => "role" in fields && fields.role === "bearer");
  }

  /** A restricted key, made by the service inside. */
  async restricted(permissions: readonly string[], facts: object = {}) {
    return await this.issue({ type: TokenType.RESTRICTED, permissions: [...permissions], ...facts });
  }
}
