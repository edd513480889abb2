package upstream

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// askAgain is how often AskSchema looks at why there is no schema yet.
const askAgain = 100 * time.Millisecond

// AskSchema is AwaitSchema for a caller that is there to find out what is wrong. A
// backend that answers is an error at once if it has no schema to give, describes it
// wrongly (ErrDescriptors) or does not speak as the parameters say. One that is away is
// waited for until ctx ends.
func (u *Upstream) AskSchema(ctx context.Context) (*Schema, error) {
	for {
		look, cancel := context.WithTimeout(ctx, askAgain)
		schema, err := u.RefreshSchema(look)
		if look.Err() != nil {
			err = u.unread() // the reading goes on
		}
		switch {
		case schema != nil:
			cancel()
			return schema, nil
		case isCertain(err):
			cancel()
			return nil, &prefixedError{"the schema of upstream " + u.params.Name + " is not known", err}
		}
		<-look.Done() // a pause, where the reading failed at once
		cancel()
		if ctx.Err() != nil {
			return u.AwaitSchema(ctx) // which knows what it waited for
		}
	}
}

// isCertain reports whether the backend has answered what it would answer again.
func isCertain(err error) bool {
	hinted := (*hintedError)(nil)
	return status.Code(err) != codes.Unavailable || errors.Is(err, ErrDescriptors) || errors.As(err, &hinted) && hinted.certain
}

// Explain is an error of AskSchema as an operator reads it: why, without the upstream's
// name and gRPC's spelling of a status.
func Explain(err error) string {
	if prefixed := (*prefixedError)(nil); errors.As(err, &prefixed) {
		err = prefixed.err
	}
	if rpc := (*rpcError)(nil); errors.As(err, &rpc) {
		return rpc.status.Message() + ": " + rpc.cause.Error()
	}
	return status.Convert(err).Message()
}
