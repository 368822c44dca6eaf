import { type DescExtension, type DescFile, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

type DescType = ReturnType<typeof nestedTypes> extends Iterable<infer Type> ? Type : never;

/** Finds the files that declare things. Files are answered encoded, each before those that it imports. */
export type DescriptorIndex = {
  /** The file at this path, as imports name it, and all that it needs; null when there is none. */
  filesAt(path: string): readonly Uint8Array[] | null;
  /** The file that declares this full name, and all that it needs; null when there is none. */
  filesOfSymbol(name: string): readonly Uint8Array[] | null;
  /**
   * The file that declares the extension of the message with this number, and all that it needs; null when there is
   * none.
   */
  filesOfExtension(messageName: string, number: number): readonly Uint8Array[] | null;
  /** The numbers of the message's extensions; null when there is no such message. */
  extensionNumbers(messageName: string): readonly number[] | null;
};

/** Indexes the files and all that they import. */
export function createDescriptorIndex(roots: readonly DescFile[]): DescriptorIndex {
  const files = withImports(roots);
  const types = files.flatMap((file) => [...nestedTypes(file)]);
  const fileAt = new Map(files.map((file) => [file.proto.name, file]));
  const fileOfSymbol = new Map(types.flatMap((type) => namesOf(type).map((name) => [name, type.file])));
  const extensions = types.filter((type) => type.kind === "extension");
  const messages = new Set(types.filter((type) => type.kind === "message").map((type) => type.typeName));

  return {
    filesAt: (path) => encoded(fileAt.get(path)),
    filesOfSymbol: (name) => encoded(fileOfSymbol.get(name)),
    filesOfExtension: (messageName, number) =>
      encoded(extensionsOf(messageName).find((extension) => extension.number === number)?.file),
    extensionNumbers: (messageName) =>
      messages.has(messageName) ? extensionsOf(messageName).map((extension) => extension.number) : null,
  };

  function extensionsOf(messageName: string): readonly DescExtension[] {
    return extensions.filter((extension) => extension.extendee.typeName === messageName);
  }
}

function encoded(file: DescFile | undefined): readonly Uint8Array[] | null {
  return file === undefined ? null : withImports([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function withImports(roots: readonly DescFile[]): readonly DescFile[] {
  // A set keeps its order, and its iteration sees what is added on the way.
  const files = new Set(roots);
  for (const file of files) {
    for (const imported of file.dependencies) {
      files.add(imported);
    }
  }
  return [...files];
}

/** The full names that a type declares: its own, and those of what is inside. */
function namesOf(type: DescType): readonly string[] {
  switch (type.kind) {
    case "service":
      return [type.typeName, ...type.methods.map((method) => `${type.typeName}.${method.name}`)];
    case "message":
      return [
        type.typeName,
        ...type.fields.map((field) => `${type.typeName}.${field.name}`),
        ...type.oneofs.map((oneof) => `${type.typeName}.${oneof.name}`),
      ];
    case "enum":
      // The values of an enum are its siblings.
      return [type.typeName, ...type.values.map((value) => type.typeName.replace(/[^.]*$/, value.name))];
    case "extension":
      return [type.typeName];
  }
}
