import { Authorization } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { asUndecided } from "../../../authority/errors.ts";
import { hostNotLocal } from "../errors.ts";
import { createLaneStatuses, type LaneStatusesOptions, toStatus } from "./lane-statuses.ts";

/** Who may ask as a gateway does, and in which words that fails. */
export function createCheckStatuses(options: LaneStatusesOptions) {
  const { admit, statuses } = createLaneStatuses(Authorization.method.check, options);
  return {
    admit,
    statuses: {
      ...statuses,
      ofError: (error: unknown) => statuses.ofError(asUndecided(error)),
      hostNotLocal: toStatus(hostNotLocal()),
    },
  };
}
