import type { Role } from "../../authority/caller.ts";
import { tokenRpcs } from "../../calls/rpcs.ts";

const request = `{"account": "acct_1", "name": "My first key", "type": "TOKEN_TYPE_SECRET"}`;

/**
 * How a person makes the first key, with what every machine has, and then with what knows gRPC. `address` is where RPCs
 * are served.
 */
export function howToMakeFirstKey(
  address: string,
  { isPlaintext, plaintextRole }: { readonly isPlaintext: boolean; readonly plaintextRole: Role },
): string {
  if (isPlaintext && plaintextRole !== "operator" && plaintextRole !== "dashboard") {
    return `There are no tokens yet, and with TOKEN_AUTHORITY_PLAINTEXT_ROLE=${plaintextRole} nobody may make a secret key: operator and dashboard may.

`;
  }
  const { curl, grpcurl } = isPlaintext ? plaintextWords(address) : tlsWords(address);
  return `There are no tokens yet. To make the first key:

  curl ${curl.flags} -H 'content-type: application/json' -d '${request}' \\
    ${curl.url}/${tokenRpcs.create}

Or with grpcurl (go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3; brew install grpcurl):

  grpcurl ${grpcurl.flags} -d '${request}' \\
    ${grpcurl.address} ${tokenRpcs.create}

`;
}

type Words = {
  readonly curl: { readonly flags: string; readonly url: string };
  readonly grpcurl: { readonly flags: string; readonly address: string };
};

function plaintextWords(address: string): Words {
  const path = /^unix:(.*)$/.exec(address)?.[1];
  return path === undefined
    ? { curl: { flags: "-sS", url: `http://${address}` }, grpcurl: { flags: "-plaintext", address } }
    : {
        curl: { flags: `-sS --unix-socket ${path}`, url: "http://localhost" },
        grpcurl: { flags: "-plaintext", address: `unix://${path}` },
      };
}

/** With a name, which certificates have rather than addresses. */
function tlsWords(address: string): Words {
  const named = `localhost:${address.slice(address.lastIndexOf(":") + 1)}`;
  return {
    curl: {
      flags: "-sS --cacert SERVER_CA.pem --cert OPERATOR.pem --key OPERATOR.key",
      url: `https://${named}`,
    },
    grpcurl: { flags: "-cacert SERVER_CA.pem -cert OPERATOR.pem -key OPERATOR.key", address: named },
  };
}
