// Serves the MongoDB protocol on 127.0.0.1 from a PostgreSQL server with the extension documentdb.
// Prints the address once it is known; runs until SIGTERM or SIGINT.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/v2/ferretdb"
)

func main() {
	postgresql := flag.String("postgresql", "", "URL of the PostgreSQL server")
	state := flag.String("state", "", "an existing folder for FerretDB's own state")
	flag.Parse()

	telemetry := false
	server, err := ferretdb.New(&ferretdb.Config{
		PostgreSQLURL: *postgresql,
		ListenAddr:    "127.0.0.1:0",
		StateDir:      *state,
		LogOutput:     os.Stderr,
		Telemetry:     &telemetry,
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() { fmt.Println(server.MongoDBURI()) }()
	server.Run(ctx)
}
