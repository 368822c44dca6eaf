import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";

/** The path of a field that this version does not know, such as `9` or `expire_time.9`; null when there is none. */
export function unknownFieldPath(desc: DescMessage, message: Message): string | null {
  return pathWithin(reflect(desc, message), "");
}

function pathWithin(message: ReflectMessage, parents: string): string | null {
  const unknown = message.getUnknown()?.[0];
  if (unknown !== undefined) {
    return `${parents}${unknown.no}`;
  }
  for (const [name, nested] of nestedMessages(message)) {
    const path = pathWithin(nested, `${parents}${name}.`);
    if (path !== null) {
      return path;
    }
  }
  return null;
}

function* nestedMessages(message: ReflectMessage): Generator<readonly [string, ReflectMessage]> {
  for (const field of message.fields) {
    for (const value of messagesIn(message, field)) {
      if (isReflectMessage(value)) {
        yield [field.name, value];
      }
    }
  }
}

function messagesIn(message: ReflectMessage, field: DescField): Iterable<unknown> {
  switch (field.fieldKind) {
    case "message":
      return message.isSet(field) ? [message.get(field)] : [];
    case "list":
      return field.listKind === "message" ? message.get(field) : [];
    case "map":
      return field.mapKind === "message" ? message.get(field).values() : [];
    default:
      return [];
  }
}
