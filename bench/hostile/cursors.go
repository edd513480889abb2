package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// strangers is how many connections of cursors listen to a stream of the honest clients.
const strangers = 1000

// cursors opens one stream at made-up ids. Half of them are of the last hour: no log holds
// them any more, so each is a replay of its own. The other half are of the future. The
// clients return every few seconds, each time with another id, and read nothing.
func cursors(ctx context.Context, t target) {
	t.many(ctx, strangers, func(ctx context.Context, number int) {
		id := newest() - rand.Int64N(int64(time.Hour/every))
		if number%2 == 0 {
			id = newest() + 1 + rand.Int64N(1<<40)
		}
		t.hold(ctx, request(http.MethodGet, "/shared?topic=t0", fmt.Sprintf("Last-Event-ID: %d", id)), 5*time.Second+rand.N(5*time.Second))
	})
}
