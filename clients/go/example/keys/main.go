// A service that issues a key and revokes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func main() {
	client, err := tokenauthority.Dial(os.Getenv("AUTHORITY"), tokenauthority.Plaintext())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()

	created, err := client.Create(ctx, &tokenv1.CreateRequest{
		Account:     "acct_1",
		Name:        "Webhook server",
		Type:        tokenauthority.Restricted,
		Permissions: []string{"events:read"},
		ExpireTime:  timestamppb.New(time.Now().AddDate(0, 3, 0)),
	})
	if failure := (*tokenauthority.Error)(nil); errors.As(err, &failure) {
		// With the same request and this id, a later Create answers the same token and key.
		log.Fatal(err, failure.RequestID)
	}
	// created.Key.Reveal() is the key, for the one who is to have it.
	mayReadEvents(ctx, client, created)
	if _, err := client.Revoke(ctx, created.Token.GetId(), "found in a public repository"); err != nil {
		log.Fatal(err)
	}
	mayReadEvents(ctx, client, created)
}

func mayReadEvents(ctx context.Context, client *tokenauthority.Client, created *tokenauthority.Created) {
	question := tokenauthority.Question{Permissions: []string{"events:read"}}
	decision, err := client.Authenticate(ctx, created.Key.Reveal(), question)
	switch {
	case err != nil:
		log.Fatal(err)
	case decision.Principal != nil:
		fmt.Println("may read events:", decision.Principal.Account)
	default:
		fmt.Println("may not:", decision.Refusal.Reason)
	}
}
