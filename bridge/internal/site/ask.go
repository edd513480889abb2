package site

import (
	"context"
	"errors"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/upstream"
)

// SchemaAnswer is an upstream's schema, or the reason why it has none.
type SchemaAnswer struct {
	Schema *upstream.Schema
	Err    error
}

// Ask asks the upstreams of all routes for their schemas, concurrently.
func (s *Site) Ask(ctx context.Context) map[string]*SchemaAnswer {
	answers := map[string]*SchemaAnswer{}
	var wg sync.WaitGroup
	for _, e := range s.Endpoints {
		if answers[e.Route.Upstream] != nil {
			continue
		}
		answer := &SchemaAnswer{}
		answers[e.Route.Upstream] = answer
		wg.Go(func() { answer.Schema, answer.Err = e.Backend.Ask(ctx) })
	}
	wg.Wait()
	return answers
}

// Ask asks the backend for its schema, and waits no longer than open_timeout.
func (u *Backend) Ask(ctx context.Context) (*upstream.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, u.OpenTimeout)
	defer cancel()
	return u.AskSchema(ctx)
}

// SchemaError returns the configuration error of an upstream without a schema: at target if
// the backend cannot be reached, at schema if it answers.
func SchemaError(name string, err error) *config.Error {
	why := upstream.Explain(err)
	if status.Code(err) == codes.Unavailable && !errors.Is(err, upstream.ErrDescriptors) {
		return configerr.New("the backend cannot be reached: "+why, "upstreams.%s.target", name)
	}
	return configerr.New(why, "upstreams.%s.schema", name)
}
