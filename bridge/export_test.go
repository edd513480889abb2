package bridge

import (
	"time"

	"github.com/ssebridge/ssebridge/upstream"
)

// Seated returns how many clients have a place.
func (b *Bridge) Seated() int { return b.shedding.seats.count() }

// BodyTimeout is how long a client may take to send the body.
const BodyTimeout = bodyTimeout

// AnswerTimeout is how long a client may take to take an answer.
const AnswerTimeout = answerTimeout

// PendingRequests is what is held of requests, beyond the first bytes of each.
func (b *Bridge) PendingRequests() int64 { return b.shedding.pending.requests.bytes() }

// PendingAnswers is what is held of answers.
func (b *Bridge) PendingAnswers() int64 { return b.shedding.pending.answers.bytes() }

// Fill takes as much of limits.pending_bytes as leaves room for small requests and answers only.
func (b *Bridge) Fill() {
	for _, p := range []*pool{&b.shedding.pending.requests, &b.shedding.pending.answers} {
		p.take(p.most * 9 / 10)
	}
}

// Intake bounds the large messages that are received from an upstream.
func (b *Bridge) Intake(name string) *upstream.Intake { return b.site.Load().upstreams[name].intake }

// FlushLog waits until the lines are written that the bridge has logged by now.
func (b *Bridge) FlushLog() { b.lines.Flush(time.Minute) }
