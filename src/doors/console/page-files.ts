import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

/** A file of the page, as it is sent. */
export type PageFile = { readonly contentType: string; readonly body: Uint8Array };

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const directory = join(import.meta.dirname, "page");

/** Reads the page's files, by the path that each is served at. They are served as they stand: nothing is built. */
export function readPageFiles(): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const name of readdirSync(directory)) {
    const contentType = contentTypes[extname(name)];
    if (contentType !== undefined) {
      files.set(name === "index.html" ? "/" : `/${name}`, { contentType, body: readFileSync(join(directory, name)) });
    }
  }
  return files;
}
