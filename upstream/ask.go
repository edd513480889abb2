package upstream

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// askPause is the interval at which AskSchema checks why there is no schema yet.
const askPause = 100 * time.Millisecond

// AskSchema returns the schema. It returns an error at once if the backend answers that it has no
// schema, describes it wrongly (ErrDescriptors), or speaks another protocol than the parameters
// say. It waits for a backend that is down until ctx ends.
func (u *Upstream) AskSchema(ctx context.Context) (*Schema, error) {
	for {
		look, cancel := context.WithTimeout(ctx, askPause)
		schema, err := u.RefreshSchema(look)
		if look.Err() != nil {
			err = u.unread() // the reading goes on
		}
		switch {
		case schema != nil:
			cancel()
			return schema, nil
		case isFinal(err):
			cancel()
			return nil, &prefixedError{"the schema of upstream " + u.params.Name + " is not known", err}
		}
		<-look.Done() // a pause, if the reading failed at once
		cancel()
		if ctx.Err() != nil {
			return u.awaitSchema(ctx) // its error names the cause
		}
	}
}

// isFinal reports whether the backend would answer the same if it were asked again.
func isFinal(err error) bool {
	hinted := (*hintedError)(nil)
	return status.Code(err) != codes.Unavailable || errors.Is(err, ErrDescriptors) || errors.As(err, &hinted) && hinted.final
}

// Explain returns the cause of an error of AskSchema for an operator, without the upstream's name
// and gRPC's spelling of a status.
func Explain(err error) string {
	if prefixed := (*prefixedError)(nil); errors.As(err, &prefixed) {
		err = prefixed.err
	}
	if rpc := (*rpcError)(nil); errors.As(err, &rpc) {
		return rpc.status.Message() + ": " + rpc.cause.Error()
	}
	return status.Convert(err).Message()
}
