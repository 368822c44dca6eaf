package tokenauthoritytest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"casapay.com/tokenauthority"
	tokenv1 "casapay.com/tokenauthority/gen/casapay/token/v1"
	"casapay.com/tokenauthority/tokenauthoritytest"
)

func Example() {
	fake := tokenauthoritytest.New()
	defer fake.Close()
	request := &tokenv1.CreateRequest{Account: "acct_1", Name: "Till", Type: tokenauthority.Secret}
	created, err := fake.Create(context.Background(), request)
	if err != nil {
		panic(err)
	}
	mayReadCharges := tokenauthority.RequireKey(fake, tokenauthority.Question{Permissions: []string{"charges:read"}})
	handler := mayReadCharges(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	ask := func() int {
		r := httptest.NewRequest(http.MethodGet, "/charges", nil)
		r.Header.Set("X-Api-Key", created.Key.Reveal())
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	fmt.Println(ask())
	fake.SetDown(true)
	fmt.Println(ask())
	// Output:
	// 200
	// 503
}
