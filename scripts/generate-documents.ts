// Writes the documents that are made of the code.
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { generatedDocuments } from "./generated-documents.ts";

for (const { path, text } of generatedDocuments()) {
  writeFileSync(resolve(import.meta.dirname, "..", path), text);
}
