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

// passingStream is a stream of the passing route of a bridge, until the route is removed.
type passingStream struct {
	body  io.ReadCloser
	ended chan error // receives once, when the stream has ended
}

// openPassing opens a stream of the passing route. Its goroutine belongs to waiting.
func (b *bridge) openPassing(ctx context.Context, client *http.Client, waiting *sync.WaitGroup) (*passingStream, error) {
	response, err := b.ask(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := ssetest.CheckHead(response); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: a route that was added: %w", b.name, err), response.Body.Close())
	}
	p := &passingStream{body: response.Body, ended: make(chan error, 1)}
	waiting.Go(func() {
		p.ended <- p.readToEnd()
		_ = p.body.Close() // it was only read from
	})
	return p, nil
}

// ask sends a request for the passing route.
func (b *bridge) ask(ctx context.Context, client *http.Client) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.listen+passingPath+"positions-0", http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	return client.Do(request)
}

// readToEnd reads until the stream ends, which has to be with stream-end and a final id.
func (p *passingStream) readToEnd() error {
	reader := ssetest.NewReader(p.body, ssetest.Mode{IDs: true})
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
