import { join } from "node:path";
import { openSqliteTokenStore } from "../../src/sqlite/open-sqlite-token-store.ts";
import { describeTokenStore } from "../support/describe-token-store.ts";
import { quietLog } from "./store-rig.ts";

describeTokenStore("sqlite", (directory) =>
  openSqliteTokenStore(join(directory, "data"), {
    minFreeBytes: 0,
    log: quietLog,
    onFatal(error) {
      throw error;
    },
  }),
);
