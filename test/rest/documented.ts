import { Ajv2020 } from "ajv/dist/2020.js";
import { openApiDocument } from "../../src/doors/rest/openapi.ts";

export type Answer = {
  readonly status: number;
  readonly header: Headers;
  readonly text: string;
};

type DocumentedResponse = {
  readonly headers?: Readonly<Record<string, { readonly required: boolean; readonly schema: object }>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
};
type DocumentedOperation = { readonly responses: Readonly<Record<string, DocumentedResponse>> };

const document: { readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> } = openApiDocument;
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(openApiDocument, "openapi.json");

/**
 * What of an answer the OpenAPI document does not say; null when it says all. Paths and methods that it does not have
 * are not its to say.
 */
export function undocumentedIn(method: string, path: string, answer: Answer): string | null {
  const operation = operationOf(method, path);
  if (operation === null) {
    return [404, 405].includes(answer.status)
      ? null
      : `${method} ${path} is not documented, and answers ${answer.status}`;
  }
  const response = operation.responses[answer.status];
  if (response === undefined) {
    return `${method} ${path} answers ${answer.status}, which is not documented`;
  }
  return headerFault(response, answer) ?? contentFault(response, answer);
}

function operationOf(method: string, path: string): DocumentedOperation | null {
  const [pathname = ""] = path.split("?");
  for (const [template, item] of Object.entries(document.paths)) {
    const pattern = new RegExp(`^${template.replaceAll(".", "\\.").replace("{id}", "[^/]+")}$`);
    if (pattern.test(pathname)) {
      return (item[method.toLowerCase()] as DocumentedOperation | undefined) ?? null;
    }
  }
  return null;
}

function headerFault({ headers = {} }: DocumentedResponse, { status, header }: Answer): string | null {
  for (const [name, { required, schema }] of Object.entries(headers)) {
    if ((required || header.has(name)) && !ajv.validate(schema, header.get(name))) {
      return `${status} has ${name}: ${header.get(name)}`;
    }
  }
  return null;
}

function contentFault({ content }: DocumentedResponse, { status, header, text }: Answer): string | null {
  if (content === undefined) {
    return text === "" ? null : `${status} has a body`;
  }
  const schema = content[header.get("content-type") ?? ""]?.schema;
  if (schema === undefined) {
    return `${status} has the content type ${header.get("content-type")}`;
  }
  return ajv.validate(inDocument(schema), JSON.parse(text)) ? null : `${status}: ${ajv.errorsText()}`;
}

/** References in the document start from its root. */
function inDocument(schema: object): object {
  return "$ref" in schema ? { $ref: `openapi.json${schema.$ref}` } : schema;
}
