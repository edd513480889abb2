// Command notices writes the licences of everything that the ssebridge command is linked
// with, which have to be distributed with the binary: Apache-2.0 (section 4), BSD and MIT
// require their texts and notices, MPL-2.0 (section 3.2) also where the source is.
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
