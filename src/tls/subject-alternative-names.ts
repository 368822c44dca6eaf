import { type DerElement, readDer } from "./der.ts";

/** The names of a certificate's subjectAltName extension, in their order, byte for byte as latin1. */
export type SubjectAlternativeNames = { readonly uris: readonly string[]; readonly dnsNames: readonly string[] };

const sequence = 0x30;
const octetString = 0x04;
const objectIdentifier = 0x06;
// TBSCertificate keeps its extensions under this tag (RFC 5280, 4.1).
const extensionsTag = 0xa3;
// GeneralName (RFC 5280, 4.2.1.6).
const dnsNameTag = 0x82;
const uriTag = 0x86;
const subjectAltNameId = Buffer.from([0x55, 0x1d, 0x11]);

/**
 * Reads the names from a certificate's DER. Node's text form joins them with commas, so that one name could pose
 * as several; the bytes cannot. Null when the certificate is malformed or has the extension twice (RFC 5280, 4.2).
 */
export function subjectAlternativeNames(certificate: Uint8Array): SubjectAlternativeNames | null {
  const extensions = readExtensions(certificate);
  if (extensions === null) {
    return null;
  }
  const values: Uint8Array[] = [];
  for (const extension of extensions) {
    const parts = extension.tag === sequence ? readDer(extension.value) : null;
    const id = parts?.[0];
    const value = parts?.at(-1);
    if (id?.tag !== objectIdentifier || value?.tag !== octetString) {
      return null;
    }
    if (subjectAltNameId.equals(id.value)) {
      values.push(value.value);
    }
  }
  const [value, second] = values;
  if (second !== undefined) {
    return null;
  }
  return value === undefined ? { uris: [], dnsNames: [] } : readGeneralNames(value);
}

function readExtensions(certificate: Uint8Array): readonly DerElement[] | null {
  const tbsCertificate = onlyChildren(onlyChildren(readDer(certificate))?.slice(0, 1));
  if (tbsCertificate === null) {
    return null;
  }
  const extensions = tbsCertificate.filter(({ tag }) => tag === extensionsTag);
  return extensions.length === 0 ? [] : onlyChildren(onlyOne(extensions, readDer));
}

// The children of the one SEQUENCE in a list.
function onlyChildren(elements: readonly DerElement[] | null | undefined): DerElement[] | null {
  const [element] = elements ?? [];
  return elements?.length === 1 && element?.tag === sequence ? readDer(element.value) : null;
}

function onlyOne(
  elements: readonly DerElement[],
  read: (bytes: Uint8Array) => DerElement[] | null,
): DerElement[] | null {
  const [element] = elements;
  return elements.length === 1 && element !== undefined ? read(element.value) : null;
}

function readGeneralNames(value: Uint8Array): SubjectAlternativeNames | null {
  const names = onlyChildren(readDer(value));
  if (names === null) {
    return null;
  }
  const texts = (tag: number) =>
    names.filter((name) => name.tag === tag).map((name) => Buffer.from(name.value).toString("latin1"));
  return { uris: texts(uriTag), dnsNames: texts(dnsNameTag) };
}
