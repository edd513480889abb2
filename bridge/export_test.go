package bridge

import (
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/serve"
	"github.com/ssebridge/ssebridge/upstream"
)

// TakenSlots returns the number of taken stream slots.
func (b *Bridge) TakenSlots() int { return b.gate.Clients() }

// PendingRequests returns the counted memory of requests.
func (b *Bridge) PendingRequests() int64 {
	requests, _ := b.gate.PendingBytes()
	return requests
}

// PendingAnswers returns the counted memory of answers.
func (b *Bridge) PendingAnswers() int64 {
	_, answers := b.gate.PendingBytes()
	return answers
}

// Intake returns the intake of an upstream.
func (b *Bridge) Intake(name string) *upstream.Intake { return b.sites.Current().Backends[name].Intake }

// FlushLog waits until all lines that the bridge has logged are written.
func (b *Bridge) FlushLog() { b.log.lines.Flush(time.Minute) }

// BodyTimeout is serve.BodyTimeout.
const BodyTimeout = serve.BodyTimeout

// AnswerTimeout is serve.AnswerTimeout.
const AnswerTimeout = serve.AnswerTimeout

// Fill uses up limits.pending_bytes, except for a tenth, which is enough for small requests and answers only.
func (b *Bridge) Fill() {
	half := int(b.sites.Current().Config.Limits.PendingBytes) / 2
	b.gate.Retain(half * 9 / 10)
	_, _ = b.gate.Answer(half * 9 / 10) // cannot fail: nothing else is counted
}
