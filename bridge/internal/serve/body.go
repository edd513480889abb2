package serve

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/internal/route"
)

// receive reads the request, of at most limit bytes, and returns its body. A request that has
// a body, or calls a unary method, takes a call slot.
func (x *exchange) receive(limit int) ([]byte, error) {
	if admit.HasBody(x.r) || x.isUnary() {
		if err := x.permit.TakeCallSlot(); err != nil {
			return nil, err
		}
	}
	if err := route.CheckSize(x.r, limit); err != nil {
		return nil, err
	}
	if err := x.permit.Request().Grow(admit.HeadSize(x.r)); err != nil {
		return nil, err
	}
	return readBody(x.w, x.r, limit, x.permit.Request())
}

const (
	// BodyTimeout bounds the time in which a client sends the body.
	BodyTimeout = 10 * time.Second
	// pressedTimeout replaces BodyTimeout, and AnswerTimeout for one piece of an answer,
	// while limits.pending_bytes is nearly used up.
	pressedTimeout = 2 * time.Second
)

// limitBody sets a read deadline for the body. It also holds for net/http, which reads the
// rest of a body after an early answer and sets no deadline itself.
func limitBody(w http.ResponseWriter, r *http.Request, pressed bool) {
	if !admit.HasBody(r) {
		return
	}
	timeout := BodyTimeout
	if pressed {
		timeout = pressedTimeout
	}
	// The writer of a test or a middleware may not support deadlines.
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(timeout))
	if r.ProtoMajor == 1 {
		// The write deadline of the connection's previous answer may have passed, and
		// "100 Continue" has to be written.
		_ = controller.SetWriteDeadline(time.Time{})
	}
}

func readBody(w http.ResponseWriter, r *http.Request, limit int, memory *admit.Memory) ([]byte, error) {
	if !admit.HasBody(r) {
		return nil, nil
	}
	body, err := readAll(http.MaxBytesReader(nil, r.Body, int64(limit)), memory)
	if admit.IsFull(err) {
		return nil, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.Header().Set("Connection", "close")
		return nil, &route.Error{Status: http.StatusRequestTimeout, Message: "the body did not come in time"}
	}
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, &route.Error{Status: http.StatusRequestEntityTooLarge, Message: "the body is larger than limits.request_bytes allows"}
	}
	if err != nil {
		return nil, &route.Error{Status: http.StatusBadRequest, Message: "the body could not be read"}
	}
	// The deadline is lifted only now, so that it holds for the rest of a refused body.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}

// readAll is io.ReadAll, but counts its buffer in memory before it allocates it.
func readAll(r io.Reader, memory *admit.Memory) ([]byte, error) {
	const first = 1 << 10
	var body []byte
	for {
		if len(body) == cap(body) {
			more := max(first, cap(body)) // doubled, so that the body's bytes are copied twice at most
			if err := memory.Grow(more); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, cap(body)+more), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}
