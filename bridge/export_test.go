package bridge

import (
	"time"

	"github.com/ssebridge/ssebridge/bridge/internal/serve"
	"github.com/ssebridge/ssebridge/upstream"
)

// Seated returns how many clients have a place.
func (b *Bridge) Seated() int { return b.gate.Clients() }

// PendingRequests is what is held of requests, beyond the first bytes of each.
func (b *Bridge) PendingRequests() int64 {
	requests, _ := b.gate.PendingBytes()
	return requests
}

// PendingAnswers is what is held of answers.
func (b *Bridge) PendingAnswers() int64 {
	_, answers := b.gate.PendingBytes()
	return answers
}

// Intake bounds the large messages that are received from an upstream.
func (b *Bridge) Intake(name string) *upstream.Intake { return b.sites.Current().Backends[name].Intake }

// FlushLog waits until the lines are written that the bridge has logged by now.
func (b *Bridge) FlushLog() { b.log.lines.Flush(time.Minute) }

// BodyTimeout is how long a client may take to send the body.
const BodyTimeout = serve.BodyTimeout

// AnswerTimeout is how long a client may take to take an answer.
const AnswerTimeout = serve.AnswerTimeout

// Fill takes as much of limits.pending_bytes as leaves room for small requests and answers only.
func (b *Bridge) Fill() {
	half := int(b.sites.Current().Config.Limits.PendingBytes) / 2
	b.gate.Retain(half * 9 / 10)
	_, _ = b.gate.Answer(half * 9 / 10) // there is room
}
