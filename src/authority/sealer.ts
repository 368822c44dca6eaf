import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

const version = 1;
const nonceLength = 12;
const tagLength = 16;

/** Keeps a key for 24 hours in a form that is worth nothing without the secret. */
export type Sealer = {
  /** Encrypts the text, bound to its context: it opens with the same context only. */
  seal(text: string, context: string): Uint8Array;
  /** The text, or null when it was sealed under another secret or context, or was changed. */
  open(sealed: Uint8Array, context: string): string | null;
};

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce. The secret has 32 bytes. Sealed: version, nonce, ciphertext, tag.
 */
export function createSealer(secret: Uint8Array): Sealer {
  return {
    seal(text, context) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv("aes-256-gcm", secret, nonce, { authTagLength: tagLength });
      cipher.setAAD(Buffer.from(context));
      return Buffer.concat([
        Buffer.of(version),
        nonce,
        cipher.update(text, "utf8"),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
    },
    open(sealed, context) {
      if (sealed[0] !== version || sealed.length < 1 + nonceLength + tagLength) {
        return null;
      }
      const nonce = sealed.subarray(1, 1 + nonceLength);
      const decipher = createDecipheriv("aes-256-gcm", secret, nonce, { authTagLength: tagLength });
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(sealed.subarray(-tagLength));
      try {
        return (
          decipher.update(sealed.subarray(1 + nonceLength, -tagLength), undefined, "utf8") + decipher.final("utf8")
        );
      } catch {
        return null;
      }
    },
  };
}
