import { mkdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { expect, it } from "vitest";
import { type DataFiles, dataFiles, readFreeBytes } from "../../src/stores/sqlite/data-directory.ts";
import { ballastBytes, ballastRetryMs, createStorageRoom } from "../../src/stores/sqlite/writer/storage-room.ts";
import { quietLog, temporaryDataDirectory } from "./store-rig.ts";

function temporaryFiles(): DataFiles {
  const files = dataFiles(temporaryDataDirectory());
  mkdirSync(files.directory);
  return files;
}

const moreThanAnyDiskHas = Number.MAX_SAFE_INTEGER;

it("takes the room of the ballast on the disk, not only in its size, and for its owner alone", () => {
  const files = temporaryFiles();
  createStorageRoom(files, 0, () => 0, quietLog).restoreBallast();
  const stats = statSync(files.ballast);
  expect(stats.size).toBe(ballastBytes);
  expect(stats.blocks * 512).toBeGreaterThanOrEqual(ballastBytes);
  expect(stats.mode & 0o777).toBe(0o600);
});

it("is low until the ballast is in place, and again once it is given up", () => {
  const room = createStorageRoom(temporaryFiles(), 0, () => 0, quietLog);
  expect([room.isLow(), room.isTight()]).toEqual([true, true]);
  room.restoreBallast();
  expect([room.isLow(), room.isTight()]).toEqual([false, false]);
  expect(room.giveUpBallast()).toBe(true);
  expect(room.isLow()).toBe(true);
  expect(room.giveUpBallast()).toBe(false);
});

it("tries to put the ballast back every 10 seconds", () => {
  let nowMs = 0;
  const room = createStorageRoom(temporaryFiles(), 0, () => nowMs, quietLog);
  room.restoreBallast();
  room.giveUpBallast();
  nowMs = ballastRetryMs - 1;
  room.restoreBallast();
  expect(room.hasBallast()).toBe(false);
  nowMs = ballastRetryMs;
  room.restoreBallast();
  expect(room.hasBallast()).toBe(true);
});

it("finds the ballast of the last run, and makes a new one of a part of it", () => {
  const files = temporaryFiles();
  createStorageRoom(files, 0, () => 0, quietLog).restoreBallast();
  expect(createStorageRoom(files, 0, () => 0, quietLog).hasBallast()).toBe(true);
  truncateSync(files.ballast, 4096);
  const room = createStorageRoom(files, 0, () => 0, quietLog);
  expect(room.hasBallast()).toBe(false);
  room.restoreBallast();
  expect(statSync(files.ballast)).toMatchObject({ size: ballastBytes });
  expect(room.hasBallast()).toBe(true);
});

it("neither builds the ballast nor lets create where less is free than must stay free", () => {
  const files = temporaryFiles();
  const room = createStorageRoom(files, moreThanAnyDiskHas, () => 0, quietLog);
  room.restoreBallast();
  expect(room.hasBallast()).toBe(false);
  createStorageRoom(files, 0, () => 0, quietLog).restoreBallast();
  expect(createStorageRoom(files, moreThanAnyDiskHas, () => 0, quietLog).isLow()).toBe(true);
});

it("looks at the disk once a second at the most, and after it was full", () => {
  const files = temporaryFiles();
  createStorageRoom(files, 0, () => 0, quietLog).restoreBallast();
  let nowMs = 0;
  const room = createStorageRoom(files, 1, () => nowMs, quietLog);
  expect(room.isLow()).toBe(false);
  // To look at a directory that is gone throws, which shows when it looks.
  rmSync(files.directory, { recursive: true });
  nowMs = 999;
  expect(room.isLow()).toBe(false);
  nowMs = 1000;
  expect(() => room.isLow()).toThrow(/ENOENT/);
  mkdirSync(files.directory);
  expect(room.isLow()).toBe(false);
  room.noteFull();
  rmSync(files.directory, { recursive: true });
  expect(() => room.isLow()).toThrow(/ENOENT/);
});

it("is tight for a while after the disk was full", () => {
  let nowMs = 0;
  const room = createStorageRoom(temporaryFiles(), 0, () => nowMs, quietLog);
  room.restoreBallast();
  expect(room.isTight()).toBe(false);
  room.noteFull();
  nowMs = 9999;
  expect(room.isTight()).toBe(true);
  nowMs = 10_000;
  expect(room.isTight()).toBe(false);
});

it("reads how much is free", () => {
  expect(readFreeBytes("/")).toBeGreaterThan(0);
});
