package logqueue

import (
	"context"
	"io"
	"log/slog"
)

// Handler returns a slog.Handler whose records the queue writes.
func (q *Queue) Handler() slog.Handler { return &handler{queue: q, log: q.log} }

// Of returns the queue behind a handler, and the handler that the queue writes to; nil if there is
// none.
func Of(h slog.Handler) (*Queue, slog.Handler) {
	if h, ok := h.(*handler); ok {
		return h.queue, h.log
	}
	return nil, nil
}

// handler puts records into a queue.
type handler struct {
	queue *Queue
	log   slog.Handler // writes the records
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.log.Enabled(ctx, level)
}

// Handle never waits and never fails: the queue counts lost lines.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.queue.Put(&record{context.WithoutCancel(ctx), h.log, r.Clone()})
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.queue, h.log.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.queue, h.log.WithGroup(name)}
}

// record is a waiting slog record.
type record struct {
	ctx    context.Context //nolint:containedctx // of the call that logs; a handler may read values from it
	log    slog.Handler
	record slog.Record
}

func (r *record) Write() error { return r.log.Handle(r.ctx, r.record) }

// Text returns a line that is written unchanged.
func Text(to io.Writer, text string) Line { return &textLine{to, text} }

type textLine struct {
	to   io.Writer
	text string
}

func (w *textLine) Write() error {
	_, err := io.WriteString(w.to, w.text)
	return err
}
