import { AuthenticateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { asUndecided } from "../../../authority/errors.ts";
import { fromAuthorityError, unknownFieldNumber } from "../errors.ts";
import { typesInvalid } from "../from-message.ts";
import { createLaneStatuses, type LaneStatusesOptions, toStatus } from "./lane-statuses.ts";

/** Who may authenticate keys, and in which words Authenticate fails. */
export function createAuthenticateStatuses(options: LaneStatusesOptions) {
  const { admit, statuses } = createLaneStatuses(TokenService.method.authenticate, options);
  return {
    admit,
    statuses: {
      ...statuses,
      ofError: (error: unknown) => statuses.ofError(asUndecided(error)),
      typesInvalid: toStatus(fromAuthorityError(typesInvalid("allowed_types"))),
      unknownField: (number: number) => toStatus(unknownFieldNumber(AuthenticateRequestSchema, String(number))),
    },
  };
}
