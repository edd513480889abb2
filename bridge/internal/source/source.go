package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/observe"
	"github.com/ssebridge/ssebridge/bridge/internal/reason"
	"github.com/ssebridge/ssebridge/bridge/internal/site"
	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	"github.com/ssebridge/ssebridge/internal/printable"
	"github.com/ssebridge/ssebridge/upstream"
)

const (
	// warnEvery is the least time between two warnings of messages that cannot be shown.
	warnEvery = 10 * time.Second
	// keepBuffer is the capacity up to which a rendering buffer is reused.
	keepBuffer = 1 << 20
	// errorBytes bounds the logged text of an error.
	errorBytes = 1 << 10
)

// source fills the log of one topic: it opens the topic's RPCs and renders their messages. It
// implements topic.Source and topic.Renderer. Only the topic's pump uses it.
type source struct {
	sources    *Sources
	endpoint   *site.Endpoint
	call       upstream.Call
	expires    time.Time // when the credentials in call expire; zero: never
	renewed    renewal
	ids        *sse.Numbering
	opened     bool             // an RPC was opened, successfully or not
	accepted   bool             // the backend has accepted an RPC
	stream     *upstream.Stream // the newest RPC
	binding    *site.Binding    // of the newest RPC
	atCursor   bool             // the newest RPC was opened at a cursor, and no message of it has had a cursor yet
	caughtUp   bool             // the log begins after a client's cursor, and no gap has broken it since
	frames     uint64           // in the log so far
	latest     []byte           // the newest cursor of the newest RPC; only for event.cursor: unique
	catchUp    bool             // the RPC ends when its log meets another
	fromClient bool             // the log begins after a client's cursor, and no message has had a cursor since
	warned     time.Time        // when a message that cannot be shown was last logged
	unlogged   int              // such messages since then
	// endRender releases the processor that renders the message; nil if there is no message.
	endRender func()

	// movable is set if the newest RPC can be reopened without a gap.
	movable atomic.Bool

	rpcs observe.RPCs // for traces; also read by clients

	*scratch // between Read and Release
}

// scratch has the buffers in which a message is rendered. They are pooled: many private
// streams have few messages each, and a shared buffer is in the processor's cache.
type scratch struct {
	tapped                transcode.Tapped // of the message that Read has read
	json, id, name, frame []byte
}

//nolint:gochecknoglobals // a pool
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Release returns the buffers and the processor of the message that Read has read.
func (s *source) Release() {
	if cap(s.json) <= keepBuffer && cap(s.frame) <= keepBuffer {
		scratches.Put(s.scratch)
	}
	s.scratch = nil
	if s.endRender != nil {
		s.endRender()
		s.endRender = nil
	}
}

// Open opens the topic's next RPC, by the newest schema. A nil cursor opens it without one.
func (s *source) Open(ctx context.Context, cursor []byte) (topic.Stream, error) {
	s.stream = nil // the previous RPC's trailers do not belong to this one
	s.fromClient = s.fromClient && !s.accepted
	s.latest = s.latest[:0]
	s.atCursor = cursor != nil
	b, err := s.endpoint.Await(ctx, nil)
	if err != nil {
		return nil, err
	}
	if metadata, expires, newer := s.renewed.after(s.expires); newer {
		s.call.Metadata, s.expires = metadata, expires
	}
	call := s.call
	call.Impatient = *s.endpoint.Route.Reconnect.Attempts > 0
	if s.moves() {
		s.movable.Store(cursor != nil)
		call.Movable = s.movable.Load
	}
	if cursor != nil {
		// A private stream that is reopened at a cursor is not a replay: it has missed little.
		call.Replay = s.catchUp || s.caughtUp && !s.accepted
		call.Base = append([]byte{}, s.call.Request...)
		if call.Request, err = b.Resume.Apply(s.call.Request, cursor); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCursor, err)
		}
	}
	ctx, call, span := s.rpcs.Start(ctx, s.endpoint.Backend.Name, s.endpoint.Backend.Upstream, call)
	counted := s.endpoint.Backend.Counts.Begin(s.opened)
	s.opened = true
	stream, err := s.endpoint.Backend.Open(ctx, call)
	if err != nil {
		counted.Ended(err)
		span.Ended(err)
		return nil, s.endpoint.Failures.Note(err)
	}
	s.binding, s.stream = b, stream
	return rpc{stream, s, counted, span, newIdleWatch(time.Duration(s.endpoint.Route.IdleTimeout), stream)}, nil
}

// rpc is an RPC that logs its internal failures once, whatever the number of clients.
type rpc struct {
	*upstream.Stream
	source  *source
	counted *observe.Stream
	span    *observe.RPCSpan
	idle    *idleWatch // nil if there is no idle_timeout
}

// Accepted waits for the backend's headers.
func (r rpc) Accepted() error {
	r.idle.begin()
	defer r.idle.end()
	if err := r.Stream.Accepted(); err != nil {
		r.noteEnd(err)
		r.counted.Ended(err)
		r.span.Ended(err)
		return r.source.endpoint.Failures.Note(err)
	}
	r.source.accepted = true
	r.counted.Accepted()
	r.span.Accepted()
	return nil
}

// Next passes the next message to a function.
func (r rpc) Next(message func(wire []byte) error) error {
	r.idle.begin()
	err := r.Stream.Next(message)
	r.idle.end()
	r.noteEnd(err)
	if _, isStatus := status.FromError(err); err != nil && isStatus {
		r.counted.Ended(err)
		r.span.Ended(err)
		return r.source.endpoint.Failures.Note(err)
	}
	if err == io.EOF { //nolint:errorlint // the RPC's io.EOF, not one that the function's error wraps
		r.counted.Ended(nil)
		r.span.Ended(err)
	}
	return err // io.EOF, or the function's error
}

// noteEnd counts an RPC that the bridge has ended.
func (r rpc) noteEnd(err error) {
	switch {
	case err == nil:
	case errors.Is(err, upstream.ErrMoved):
		r.counted.Moved()
	case errors.Is(err, upstream.ErrIdle):
		r.counted.Idled()
	}
}

// Close ends the RPC, unless it has ended.
func (r rpc) Close() {
	r.Stream.Close()
	r.counted.Ended(errGivenUp)
	r.span.Ended(nil)
}

// errGivenUp is the end of an RPC that the bridge no longer needs.
var errGivenUp = status.Error(codes.Canceled, "the topic has no clients")

// Read transcodes a message.
func (s *source) Read(ctx context.Context, wire []byte) (topic.Message, error) {
	s.scratch = scratches.Get().(*scratch) //nolint:errcheck,forcetypeassert // the pool has nothing else
	if s.atCursor && s.binding.SaysExpired(wire) {
		return topic.Message{Expired: true}, nil
	}
	s.endpoint.Counts.Received(wire)
	var err error
	if s.endRender, err = s.render(ctx, wire); err != nil {
		return topic.Message{}, err
	}
	err = s.read(ctx, wire)
	s.atCursor = s.atCursor && len(s.tapped.ID) == 0 // a message without a cursor may precede the refusal
	s.checkRepeat(s.tapped.ID)
	if err != nil {
		err = s.unshown(err)
	}
	return topic.Message{Cursor: s.tapped.ID}, err
}

// causedByClient reports whether the client alone has caused that its cursor expired: it was
// away for too long, or has forged the cursor. For replay.linger after its start the bridge
// does not blame clients, because those that were connected before reconnect then.
func (s *source) causedByClient() bool {
	if most := s.endpoint.MaxCatchUp(); s.caughtUp && most > 0 && s.frames == most {
		return true // the catch-up has reached its bound
	}
	return s.fromClient && time.Since(s.sources.Born) >= time.Duration(*s.endpoint.Route.Replay.Linger)
}

// Event renders the message that Read has read.
func (s *source) Event() (frame []byte, id string) {
	s.fromClient = s.fromClient && len(s.tapped.ID) == 0
	s.frames++
	s.ids.Message(s.tapped.ID)
	s.id = s.ids.AppendID(s.id[:0])
	s.endpoint.Counts.Rendered(s.tapped.Path, s.id)
	s.name = s.appendName(s.name[:0])
	s.frame = sse.AppendEvent(s.frame[:0], s.id, s.name, s.tapped.Data)
	s.noteMovable()
	return s.frame, s.logID(s.id)
}

// moves reports whether the upstream moves RPCs of this route between addresses. It moves
// only those of routes with cursors.
func (s *source) moves() bool { return s.endpoint.Backend.Moves && s.endpoint.Route.Resume != nil }

// noteMovable sets whether an RPC that ends now can be reopened at a cursor.
func (s *source) noteMovable() {
	if s.moves() {
		_, _, ok := s.ids.Resume()
		s.movable.Store(ok)
	}
}

// Resume returns the cursor at which an RPC that is lost now can be reopened.
func (s *source) Resume() (cursor []byte, since uint64, ok bool) {
	s.applyRepeats()
	return s.ids.Resume()
}

// unshown logs a message that cannot be shown: as an incident if it ends the stream, else at
// most every warnEvery.
func (s *source) unshown(err error) error {
	s.endpoint.Counts.Unshown.Add(1)
	if s.endpoint.Route.OnBadMessage == config.OnBadMessageStop {
		return s.endpoint.Failures.Note(err)
	}
	s.unlogged++
	if time.Since(s.warned) >= warnEvery {
		s.sources.Logger.Warn("a message cannot be shown",
			"route", s.endpoint.Route.Path, "messages", s.unlogged, "error", printable.Text(err.Error(), errorBytes))
		s.warned, s.unlogged = time.Now(), 0
	}
	return err
}

// read fills s.tapped. After an error, s.tapped.ID still has the message's cursor, if it is
// readable.
func (s *source) read(ctx context.Context, wire []byte) error {
	err := s.transcode(ctx, wire)
	if id := sse.AppendCursor(s.id[:0], s.tapped.ID); len(id) > sse.MaxCursorBytes {
		s.tapped.ID = nil
		return fmt.Errorf("event.id has %d bytes, over the %d of an id", len(id), sse.MaxCursorBytes)
	}
	return err
}

// transcode fills s.tapped. If the message does not fit the schema, transcode asks the backend
// for a newer one and tries again.
func (s *source) transcode(ctx context.Context, wire []byte) (err error) {
	if limit := s.endpoint.MessageBytes; len(wire) > limit {
		// The message is an error anyway, even if its id is not readable.
		_ = s.binding.Plan.ReadTaps(wire, &s.tapped)
		return fmt.Errorf("a message of %d bytes is over limits.message_bytes (%d)", len(wire), limit)
	}
	s.json, err = s.binding.Plan.AppendTapped(s.json[:0], wire, &s.tapped)
	if !NeedsNewerSchema(err) {
		return err
	}
	s.endRender() // asking the backend may take long
	var newest *site.Binding
	topic.OutOfLane(ctx, func() { newest = s.endpoint.Refresh(ctx) })
	again, waitErr := s.render(ctx, wire)
	if s.endRender = again; newest == nil || waitErr != nil {
		return err
	}
	s.binding = newest
	s.json, err = s.binding.Plan.AppendTapped(s.json[:0], wire, &s.tapped)
	return err
}

// render waits until a message may be rendered.
func (s *source) render(ctx context.Context, wire []byte) (end func(), err error) {
	return s.sources.Rendering.Begin(ctx, s.endpoint.Backend.Intake, wire)
}

// NeedsNewerSchema reports whether a message that failed with err may fit a newer schema.
func NeedsNewerSchema(err error) bool {
	failed := new(transcode.Error)
	return errors.As(err, &failed) && (failed.Kind == transcode.KindUnresolvable || failed.Kind == transcode.KindUndecodable)
}

func (s *source) appendName(dst []byte) []byte {
	switch {
	case s.endpoint.Route.Event.Name.Constant != "":
		return append(dst, s.endpoint.Route.Event.Name.Constant...)
	case s.tapped.HasName:
		return sse.AppendName(dst, s.tapped.Name)
	}
	return dst
}

// logID returns the id by which the log finds a frame. Routes without cursors find frames by
// their position instead.
func (s *source) logID(id []byte) string {
	if s.endpoint.Mode != sse.Cursors {
		return ""
	}
	return string(id)
}

// Gap renders a gap in the log, for all clients of the topic.
func (s *source) Gap(why reason.Gap) (frame []byte, id string) {
	s.rpcs.Gap(why)
	s.endpoint.Counts.Gaps.InLog(why, why == reason.GapExpired && s.causedByClient())
	s.frames++
	s.fromClient, s.caughtUp = false, s.caughtUp && why == reason.GapUntranscodable
	last := string(s.ids.AppendID(nil))
	if why == reason.GapUntranscodable {
		s.ids.Message(s.tapped.ID) // the gap has the id of the message
	} else {
		s.ids.Break()
	}
	s.noteMovable()
	at := s.ids.AppendID(nil)
	return sse.AppendGap(nil, sse.Gap{Reason: why, LastEventID: last, ResumedFrom: string(at)}), s.logID(at)
}

// End renders the end of the stream: stream-error for err, else done and stream-end.
func (s *source) End(err error) (frame []byte, id string) {
	final := s.ids.AppendFinal(nil)
	if err != nil {
		return sse.AppendError(nil, final, s.endpoint.Failures.Of(err).Data(s.trailers())), s.logID(final)
	}
	if done := s.endpoint.Route.Done; done != "" {
		frame = sse.AppendEvent(nil, s.doneID(final), nil, []byte(done))
	}
	return sse.AppendEnd(frame, final, endData(s.trailers())), s.logID(final)
}

// endData returns the data of stream-end.
func endData(trailers map[string]string) []byte {
	data, err := json.Marshal(struct {
		Trailers map[string]string `json:"trailers,omitempty"`
	}{trailers})
	if err != nil {
		panic(err) // a map of strings always has a JSON form
	}
	return data
}

// doneID returns the id of the done event: the final id, because a client that is cut after
// done has seen the end.
func (s *source) doneID(final []byte) []byte {
	if s.endpoint.Mode == sse.None {
		return nil
	}
	return final
}

// trailers returns the trailers of the newest RPC that the route allows.
func (s *source) trailers() map[string]string {
	shown := map[string]string{}
	if s.stream == nil {
		return shown
	}
	sent := s.stream.Trailer()
	for _, name := range s.endpoint.Route.Trailers {
		name = strings.ToLower(name)
		if values := sent.Get(name); len(values) > 0 {
			shown[name] = strings.Join(values, ", ")
		}
	}
	return shown
}
