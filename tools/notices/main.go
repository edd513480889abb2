// Command notices writes the licences of everything that the ssebridge command is linked
// with: what whoever passes the binary on has to pass on with it. Apache-2.0 (section 4),
// BSD and MIT want their texts and notices, MPL-2.0 (section 3.2) also says where the
// source is.
//
//	go run . > ../../THIRD_PARTY_NOTICES
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "notices:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	text, err := notices(ctx, "../..")
	if err == nil {
		_, err = os.Stdout.WriteString(text)
	}
	return err
}
