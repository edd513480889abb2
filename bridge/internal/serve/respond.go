package serve

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// respond serves a request. The goroutine of a request of HTTP/2, or by TLS, lasts as long as
// its stream, and its stack stays as large as it once was. To read and bind a request needs 8
// KiB, and to stream 4: so that is done on another goroutine. In clear a connection of
// HTTP/1.1 is taken over, and its goroutine ends.
func respond(x *exchange) (answer, error) {
	if x.r.ProtoMajor == 1 && x.r.TLS == nil {
		return x.serve()
	}
	type outcome struct {
		stream   answer
		err      error
		panicked any
	}
	done := make(chan outcome)
	go func() {
		var o outcome
		defer func() {
			o.panicked = causeOf(recover())
			done <- o
		}()
		o.stream, o.err = x.serve()
	}()
	o := <-done
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.stream, o.err
}

// panicError is a panic of another goroutine, with the stack on which it began. The server
// logs both.
type panicError struct {
	reason any
	stack  []byte
}

// causeOf returns what to panic with for a panic of another goroutine; nil is none.
func causeOf(reason any) any {
	if reason == nil || reason == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		return reason
	}
	return panicError{reason, debug.Stack()}
}

// Error returns the reason and the stack.
func (p panicError) Error() string { return fmt.Sprintf("%v\n%s", p.reason, p.stack) }

// Unwrap returns the reason where that is an error, for a middleware that recovers.
func (p panicError) Unwrap() error {
	err, _ := p.reason.(error) // nil: it is another value
	return err
}
