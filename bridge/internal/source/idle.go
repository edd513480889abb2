package source

import (
	"time"

	"github.com/ssebridge/ssebridge/upstream"
)

// idleWatch ends an RPC that sends no message for the route's idle_timeout. The time runs
// only while the pump reads the RPC.
type idleWatch struct {
	timeout time.Duration
	timer   *time.Timer
}

// newIdleWatch returns a watch of an RPC, nil if timeout is 0.
func newIdleWatch(timeout time.Duration, stream *upstream.Stream) *idleWatch {
	if timeout == 0 {
		return nil
	}
	w := &idleWatch{timeout: timeout, timer: time.AfterFunc(timeout, stream.GiveUp)}
	w.timer.Stop()
	return w
}

func (w *idleWatch) begin() {
	if w != nil {
		w.timer.Reset(w.timeout)
	}
}

func (w *idleWatch) end() {
	if w != nil {
		w.timer.Stop()
	}
}
