import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { expect, it } from "vitest";
import { AuthenticateResponseSchema } from "../../gen/casapay/token/v1/token_service_pb.ts";
import { decide, isDecidable } from "../../src/cache/decide.ts";
import { type Facts, factsOf } from "../../src/cache/facts.ts";
import { Standings } from "../../src/cache/standings.ts";
import type { Question, TokenType } from "../../src/index.ts";

type Vectors = {
  readonly questions: readonly {
    readonly required_permissions?: readonly string[];
    readonly livemode?: boolean;
    readonly allowed_types?: readonly string[];
  }[];
  readonly outcomes: readonly (readonly string[])[];
  readonly facts: readonly {
    readonly name: string;
    readonly answer: JsonValue;
    readonly decisions: readonly number[];
  }[];
};

const file = resolve(import.meta.dirname, "../../../vectors/decisions.json");
const { questions, outcomes, facts: subjects }: Vectors = JSON.parse(readFileSync(file, "utf8"));

it.each(subjects)("decides every question as the authority does: $name", ({ answer, decisions }) => {
  const facts = factsOf(fromJson(AuthenticateResponseSchema, answer), new Standings());
  expect(questions.map((question) => decisionOn(facts, questionOf(question)))).toStrictEqual(
    decisions.map((index) => outcomes[index]),
  );
});

it.each([
  { requiredPermissions: "charges:read" },
  { requiredPermissions: null },
  { requiredPermissions: [{ toString: () => "charges:read" }] },
  { allowedTypes: "secret" },
  { allowedTypes: [1] },
  { livemode: null },
  { livemode: "true" },
] as unknown as Question[])("leaves a question that a program got wrong to the authority: %j", (question) => {
  expect(isDecidable(question)).toBe(false);
});

function decisionOn(facts: Facts | null, question: Question): readonly string[] {
  const decision = facts === null ? null : decide(facts, question, "cache");
  if (decision === null) {
    return ["ask"];
  }
  return decision.kind === "principal" ? ["principal"] : [decision.reason, ...decision.missingPermissions];
}

function questionOf(question: Vectors["questions"][number]): Question {
  const { required_permissions: requiredPermissions, livemode, allowed_types: allowedTypes } = question;
  return {
    ...(requiredPermissions === undefined ? {} : { requiredPermissions }),
    ...(livemode === undefined ? {} : { livemode }),
    ...(allowedTypes === undefined ? {} : { allowedTypes: allowedTypes as readonly TokenType[] }),
  };
}
