package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/ssebridge/ssebridge/bridge/ssetest"
)

// passingPath is of a route that every other version of a configuration has.
const passingPath = "/passing/"

// passing reports whether the bridge's configuration has the passing route.
func (b *bridge) passing() bool { return b.version%2 == 1 }

// visitor listens to the passing route of a bridge, until that is removed.
type visitor struct {
	body  io.ReadCloser
	ended chan error // how the stream has; closed then
}

// visit lets a visitor in, whom waiting waits for.
func (b *bridge) visit(ctx context.Context, client *http.Client, waiting *sync.WaitGroup) (*visitor, error) {
	response, err := b.ask(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := ssetest.CheckHead(response); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: a route that was added: %w", b.name, err), response.Body.Close())
	}
	v := &visitor{body: response.Body, ended: make(chan error, 1)}
	waiting.Go(func() {
		v.ended <- v.stay()
		_ = v.body.Close() // it was only read from
	})
	return v, nil
}

// ask asks for the passing route.
func (b *bridge) ask(ctx context.Context, client *http.Client) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.listen+passingPath+"positions-0", http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	return client.Do(request)
}

// stay reads until the end, of which a visitor has to be told.
func (v *visitor) stay() error {
	reader := ssetest.NewReader(v.body, ssetest.Mode{IDs: true})
	var last string
	for {
		event, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF) && last == "stream-end" && strings.HasSuffix(reader.LastEventID(), "~end"):
			return nil
		case err != nil:
			return fmt.Errorf("a stream of a route that was removed: %w after %q, id %q", err, last, reader.LastEventID())
		}
		last = event.Name
	}
}

// removed checks that a bridge has no passing route any more.
func (b *bridge) removed(ctx context.Context, client *http.Client) error {
	response, err := b.ask(ctx, client)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s: a route that was removed is answered %s", b.name, response.Status)
	}
	return nil
}
