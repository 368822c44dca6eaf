// An API that serves the charges of whoever has a key for them.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"casapay.com/tokenauthority"
)

func main() {
	security := tokenauthority.MutualTLSFiles("ca.pem", "gateway.pem", "gateway.key")
	client, err := tokenauthority.Dial(os.Getenv("AUTHORITY"), security)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	listCharges := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, _ := tokenauthority.PrincipalFromContext(r.Context())
		fmt.Fprintf(w, "the charges of %s\n", principal.Account)
	})
	mayReadCharges := tokenauthority.RequireKey(client, tokenauthority.Question{
		Permissions: []string{"charges:read"},
		Mode:        tokenauthority.Live,
	})
	http.Handle("GET /v1/charges", mayReadCharges(listCharges))
	log.Print(http.ListenAndServe(os.Getenv("LISTEN"), nil))
}
