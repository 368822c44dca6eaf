import { toFailure } from "../../../machine/failure.ts";
import { type ChangeCall, isUrgent, urgentFirst } from "../../changes/change-call.ts";
import { makeChange } from "../../changes/change-maker.ts";
import { isBusy, isFatal, isFull } from "../sqlite-error.ts";
import type { WriterAnswer } from "../writer-call.ts";
import type { StorageRoom } from "./storage-room.ts";
import type { Writer } from "./writer.ts";

/**
 * Runs the calls, each atomic by itself, and returns their answers, all of which would survive a power cut. Throws only
 * what is fatal: then it is unknown which of the calls happened.
 *
 * They share one transaction, and so one fsync. When something unforeseen breaks that transaction, none of it has
 * happened, and each call is run once more alone, the urgent ones first, so that it gets its own outcome.
 */
export function commitTogether(
  writer: Writer,
  room: StorageRoom,
  calls: readonly ChangeCall[],
): ReadonlyMap<ChangeCall, WriterAnswer> {
  try {
    return writer.transact(() => new Map(calls.map((call) => [call, makeChange(writer, call, room.isLow)])));
  } catch (error) {
    if (isFatal(error)) {
      throw error;
    }
    if (isBusy(error)) {
      // Another program holds the database. Waiting again for each call would take all day.
      return new Map(calls.map((call) => [call, { method: "failed", failure: toFailure(error) }]));
    }
    return new Map(calls.toSorted(urgentFirst).map((call) => [call, commitAlone(writer, room, call)]));
  }
}

function commitAlone(writer: Writer, room: StorageRoom, call: ChangeCall): WriterAnswer {
  try {
    return writer.transact(() => makeChange(writer, call, room.isLow));
  } catch (error) {
    if (isFatal(error)) {
      throw error;
    }
    if (!isFull(error)) {
      return { method: "failed", failure: toFailure(error) };
    }
    room.noteFull();
    if (!isUrgent(call) && call.method !== "revokeMatching") {
      return { method: call.method, outcome: { kind: "storage_low" } };
    }
    return room.giveUpBallast() ? commitAlone(writer, room, call) : { method: "failed", failure: toFailure(error) };
  }
}
