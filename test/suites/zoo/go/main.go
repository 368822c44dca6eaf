// Calls Authenticate as a busy gateway that is written in Go does, by the library that -stack names, and prints what
// came of it as one line of JSON. With -serve it is the server that the zoo is held against: grpc-go, and connect-go on
// net/http.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
)

var stacks = map[string]stack{
	"grpc-go":         grpcGo,
	"connect-go":      connectGo,
	"connect-go-grpc": connectGoGrpc,
	"net-http2":       netHTTP2,
}

func main() {
	name := flag.String("stack", "grpc-go", "which library calls")
	file := flag.String("order", "", "JSON file that says what to ask, and for how long")
	isServer := flag.Bool("serve", false, "answer what the order asks for, and call nobody")
	flag.Parse()
	wanted, err := readOrder(*file)
	if err == nil && *isServer {
		err = serve(wanted)
	} else if err == nil {
		var outcome *result
		if outcome, err = run(stacks[*name], wanted); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(outcome)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func versionOf(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if one.Path == module {
			return one.Version
		}
	}
	return "unknown"
}
