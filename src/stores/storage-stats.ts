/** What a store takes of the disk, and what is left of it, in bytes. */
export type StorageStats = {
  readonly databaseBytes: number;
  readonly walBytes: number;
  /** What is kept so that a revocation fits on a full disk. */
  readonly ballastBytes: number;
  readonly freeBytes: number;
};
