import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { describeUndecided } from "../../../authority/errors.ts";
