// Command gateway-go is a gateway with the client for Go, for the driver: gateway-go SOCKET AUTHORITY CACHE_MIB
//
// A line of the driver is a number and a key. The answer is the number, what the key was found to be (accept, refuse,
// unknown, undecided), and who decided (authority, cache).
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"casapay.com/tokenauthority"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: gateway-go SOCKET AUTHORITY CACHE_MIB")
	}
	mib, err := strconv.Atoi(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	client, err := tokenauthority.Dial(os.Args[2], tokenauthority.Plaintext(), options(mib)...)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go converse(connection, client)
	}
}

func options(mib int) []tokenauthority.Option {
	if mib == 0 {
		return nil
	}
	return []tokenauthority.Option{tokenauthority.WithCache(mib << 20)}
}

func converse(connection net.Conn, client *tokenauthority.Client) {
	var mutex sync.Mutex
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		number, key, _ := strings.Cut(lines.Text(), " ")
		go func() {
			answer := answerTo(client, key)
			mutex.Lock()
			defer mutex.Unlock()
			fmt.Fprintln(connection, number, answer)
		}()
	}
}

func answerTo(client *tokenauthority.Client, key string) string {
	decision, err := client.Authenticate(context.Background(), key, tokenauthority.Question{})
	switch {
	case err != nil:
		return "undecided authority"
	case decision.Principal != nil:
		return fmt.Sprint("accept ", decision.Source)
	case decision.Refusal.Reason == tokenauthority.KeyUnknown || decision.Refusal.Reason == tokenauthority.KeyMalformed:
		return fmt.Sprint("unknown ", decision.Source)
	default:
		return fmt.Sprint("refuse ", decision.Source)
	}
}
