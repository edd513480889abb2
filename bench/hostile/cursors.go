package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// strangers is how many connections hold the stream of honest clients by ids that they
// have made up.
const strangers = 1000

// cursors are clients of one stream with ids that they have made up: half of them are
// of the last hour, which no log holds any more, so that each is a replay of its own,
// and half are of the future. They come again every few seconds, each time with another
// id, and read nothing.
func cursors(ctx context.Context, t target) {
	many(ctx, strangers, func(ctx context.Context, number int) {
		id := newest() - rand.Int64N(int64(time.Hour/every))
		if number%2 == 0 {
			id = newest() + 1 + rand.Int64N(1<<40)
		}
		t.hold(ctx, request(http.MethodGet, "/shared?topic=t0", fmt.Sprintf("Last-Event-ID: %d", id)), 5*time.Second+rand.N(5*time.Second))
	})
}
