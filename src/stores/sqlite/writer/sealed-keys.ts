import type Database from "better-sqlite3";

const slotBytes = 128;
const lengthBytes = 1;
const emptySlot = new Uint8Array(slotBytes);

/** Keeps sealed keys so that erased ones are gone from the file. Its methods must run within a transaction. */
export type SealedKeys = {
  /** Returns the slot that keeps it. */
  put(sealedKey: Uint8Array): number;
  get(slot: number): Uint8Array;
  /** Overwrites the slot with zeros. Another key may take it. */
  erase(slot: number): void;
};

/**
 * Slots have one size and are never deleted, so that SQLite overwrites them where they are. It moves rows between pages
 * when others are deleted or inserted among them, and leaves the bytes of a moved row behind in its old page, whatever
 * secure_delete says.
 */
export function createSealedKeys(db: Database.Database): SealedKeys {
  const takeFreeSlot = db.prepare<[], { readonly slot: number }>(
    "DELETE FROM free_sealed_key WHERE slot = (SELECT min(slot) FROM free_sealed_key) RETURNING slot",
  );
  const freeSlot = db.prepare<[number]>("INSERT INTO free_sealed_key (slot) VALUES (?)");
  const append = db.prepare<[Uint8Array]>("INSERT INTO sealed_key (content) VALUES (?)");
  const overwrite = db.prepare<[Uint8Array, number]>("UPDATE sealed_key SET content = ? WHERE slot = ?");
  const read = db.prepare<[number], { readonly content: Uint8Array }>("SELECT content FROM sealed_key WHERE slot = ?");

  return {
    put(sealedKey) {
      const content = toContent(sealedKey);
      const free = takeFreeSlot.get();
      if (free === undefined) {
        return Number(append.run(content).lastInsertRowid);
      }
      overwrite.run(content, free.slot);
      return free.slot;
    },
    get(slot) {
      const content = read.get(slot)?.content;
      if (content === undefined) {
        throw new Error(`there is no sealed key in slot ${slot}`);
      }
      return toSealedKey(content);
    },
    erase(slot) {
      overwrite.run(emptySlot, slot);
      freeSlot.run(slot);
    },
  };
}

/** What was put into the slot with this content. */
export function toSealedKey(content: Uint8Array): Uint8Array {
  return content.slice(lengthBytes, lengthBytes + (content[0] ?? 0));
}

function toContent(sealedKey: Uint8Array): Uint8Array {
  if (sealedKey.length > slotBytes - lengthBytes) {
    throw new RangeError(`a sealed key of ${sealedKey.length} bytes is longer than ${slotBytes - lengthBytes}`);
  }
  const content = new Uint8Array(slotBytes);
  content[0] = sealedKey.length;
  content.set(sealedKey, lengthBytes);
  return content;
}
