import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");

function read(path: string): string {
  return readFileSync(resolve(root, path), "utf8");
}

const { version } = JSON.parse(read("package.json"));

it.each([
  ["clients/typescript/package.json", /^ {2}"version": "(.+)",$/m],
  ["clients/typescript/README.md", /casapay-token-authority-(.+)\.tgz/],
  ["clients/python/src/casapay_token_authority/__init__.py", /^__version__ = "(.+)"$/m],
  ["clients/go/client.go", /^const Version = "(.+)"$/m],
  ["clients/go/README.md", /go get casapay\.com\/tokenauthority@v([^`]+)`/],
])("%s has the version of the authority", (path, pattern) => {
  expect(pattern.exec(read(path))?.[1]).toBe(version);
});

it("clients/typescript/package.json asks for ranges of what it is written against, and for all that its build needs", () => {
  const own = JSON.parse(read("clients/typescript/package.json"));
  for (const range of Object.values(own.dependencies)) {
    expect(range).toMatch(/^\^/);
  }
  expect(Object.keys(own.devDependencies)).toEqual(expect.arrayContaining(["typescript", "@types/node"]));
  expect(own.scripts.prepack).toBe("npm run build");
  expect(JSON.parse(read("clients/typescript/tsconfig.build.json").replaceAll(/^ *\/\/.*$/gm, ""))).not.toHaveProperty(
    "extends",
  );
});
