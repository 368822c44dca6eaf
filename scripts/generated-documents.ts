import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { createFileRegistry, type DescField, type DescFile, type DescMethod, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { getComments } from "@bufbuild/protoplugin";
import { type DescribedSetting, defaultOf, settingGroups } from "../src/config.ts";
import { openApiDocument } from "../src/doors/rest/openapi.ts";
import { decisionVectors } from "./decision-vectors.ts";

const root = resolve(import.meta.dirname, "..");
const order = ["token_service", "token"];

/** A document that is made of the code. `path` is from the root of the repository. */
export type GeneratedDocument = { readonly path: string; readonly text: string };

export function generatedDocuments(): readonly GeneratedDocument[] {
  return [
    { path: "docs/api.md", text: apiDocument() },
    { path: "docs/settings.md", text: settingsDocument() },
    { path: "docs/openapi.json", text: `${JSON.stringify(openApiDocument, null, 2)}\n` },
    { path: "clients/vectors/decisions.json", text: decisionVectors() },
  ];
}

/** The contract as a page: what proto/ says, in the order in which it says it. */
function apiDocument(): string {
  const files = describeContract();
  const rpcs = files.flatMap(({ services }) => services).flatMap(({ methods }) => methods);
  return [
    "# The contract, as a page",
    "",
    "`npm run generate` makes this page from the comments in [`proto/casapay/token/v1/`](../proto/casapay/token/v1/): change them there.",
    "",
    "| RPC | |",
    "|---|---|",
    ...rpcs.map((rpc) => `| ${link(rpc.name)} | ${commentOf(rpc).split("\n\n")[0]?.replaceAll("\n", " ")} |`),
    ...files.flatMap(sectionsOf),
    "",
  ].join("\n");
}

/** The settings as a page: what src/config.ts says, in the order in which `--help` prints it. */
function settingsDocument(): string {
  return [
    "# Settings",
    "",
    "`npm run generate` makes this page from [`src/config.ts`](../src/config.ts): change settings there.",
    "",
    "Settings are variables of the environment; `npm start -- --help` prints them. An empty value counts as not set. A bad",
    "value, a `TOKEN_AUTHORITY_` name that is no setting, or a place where the server cannot listen stops the start with one",
    "line, which names the setting and what to do. Variables that Kubernetes sets beside a Service called `token-authority`",
    "are ignored.",
    "",
    "`SIGHUP` reads the files of certificates and callers again; every other change needs a restart. OpenTelemetry's",
    "standard variables (`OTEL_…`) are in [`observability.md`](observability.md#traces).",
    ...settingGroups.flatMap(({ title, settings }) => [
      ...heading(2, title, ""),
      "",
      "| setting | is | default | |",
      "|---|---|---|---|",
      ...settings.map(settingRow),
    ]),
    "",
  ].join("\n");
}

function settingRow({ name, words, help, more, fallback, whenNotSet }: DescribedSetting): string {
  const otherwise = defaultOf({ fallback, whenNotSet });
  const cells = [
    `\`${name}\``,
    words,
    fallback === null ? otherwise : `\`${fallback}\``,
    more === undefined ? help : `${help}. ${more}`,
  ];
  return `| ${cells.join(" | ")} |`;
}

function describeContract(): readonly DescFile[] {
  const buf = join(root, "node_modules/.bin/buf");
  const args = ["build", "--path", "proto/casapay", "--as-file-descriptor-set", "--output", "-#format=binpb"];
  const set = fromBinary(FileDescriptorSetSchema, execFileSync(buf, args, { cwd: root }));
  const registry = createFileRegistry(set);
  const names = order.map((name) => `casapay/token/v1/${name}`);
  const found = [...registry.files].filter(({ name }) => name.startsWith("casapay/"));
  return found.toSorted((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}

function sectionsOf({ services, messages, enums }: DescFile): readonly string[] {
  return [
    ...services.flatMap((service) => [
      ...heading(2, service.name, commentOf(service)),
      ...service.methods.flatMap((rpc) => [...heading(3, rpc.name, signatureOf(rpc)), "", commentOf(rpc)]),
    ]),
    ...messages.flatMap((message) => [
      ...heading(2, message.name, commentOf(message)),
      ...message.fields.flatMap((field) => item(`\`${field.name}\``, ` = ${field.number}, ${typeOf(field)}`, field)),
    ]),
    ...enums.flatMap((each) => [
      ...heading(2, each.name, commentOf(each)),
      ...each.values.flatMap((value) => item(`\`${value.name}\``, ` = ${value.number}`, value)),
    ]),
  ];
}

function heading(level: number, name: string, text: string): readonly string[] {
  return ["", `${"#".repeat(level)} ${name}`, ...(text === "" ? [] : ["", text])];
}

function signatureOf({ input, output, idempotency }: DescMethod): string {
  const safe = idempotency === 1 ? " Changes nothing." : "";
  return `Takes ${link(input.name)}, answers ${link(output.name)}.${safe}`;
}

/** A list item, its comment as paragraphs of its own. */
function item(name: string, rest: string, desc: Parameters<typeof getComments>[0]): readonly string[] {
  const text = commentOf(desc);
  const lines = text.split("\n").map((line) => (line === "" ? "" : `  ${line}`));
  return ["", `- ${name}${rest}`, ...(text === "" ? [] : ["", ...lines])];
}

function typeOf(field: DescField): string {
  const { fieldKind, oneof } = field;
  const plural = fieldKind === "list" ? "repeated " : "";
  const presence = oneof !== undefined ? `, of ${oneof.name}` : field.proto.proto3Optional ? ", optional" : "";
  const type = field.message ?? field.enum;
  const name =
    type === undefined
      ? `\`${Type[field.proto.type].toLowerCase()}\``
      : type.typeName.startsWith("google.")
        ? `\`${type.typeName}\``
        : link(type.name);
  return `${plural}${name}${presence}`;
}

/** Headings within a comment stand below those of the page. */
function commentOf(desc: Parameters<typeof getComments>[0]): string {
  const lines = (getComments(desc).leading ?? "").split("\n").map((line) => line.replace(/^ /, "").trimEnd());
  return lines
    .map((line) => line.replace(/^#+ /, "**").replace(/^(\*\*.*)$/, "$1**"))
    .join("\n")
    .trim();
}

function link(name: string): string {
  return `[${name}](#${name.toLowerCase()})`;
}
