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
	// warnEvery spaces the warnings of messages that cannot be shown.
	warnEvery = 10 * time.Second
	// keepBuffer is how much a rendering buffer may have to be used again.
	keepBuffer = 1 << 20
	// errorBytes is how much of an error is logged.
	errorBytes = 1 << 10
)

// source fills the log of one topic: it opens the topic's RPC and renders its messages. It is
// a topic.Source and a topic.Renderer, used by the topic's pump only.
type source struct {
	sources  *Sources
	endpoint *site.Endpoint
	call     upstream.Call
	ids      *sse.Numbering
	opened   bool             // an RPC, maybe in vain
	accepted bool             // one that the backend has accepted
	stream   *upstream.Stream // the newest RPC
	binding  *site.Binding    // of the newest RPC
	atCursor bool             // the newest RPC was opened at a cursor, and no message of it has carried one
	caughtUp bool             // the log begins after a client's cursor, and no gap has broken it since
	frames   uint64           // in the log so far
	latest   []byte           // the newest cursor of the newest RPC; only where cursors are to differ
	catchUp  bool             // each RPC ends when its log meets another
	asked    bool             // the log begins after a client's cursor, and no other has come since
	warned   time.Time        // of a message that cannot be shown
	unseen   int              // such messages since then
	// rendered gives back what rendering the message that was read takes; nil: nothing.
	rendered func()

	// movable says that the newest RPC can be opened anew without a gap.
	movable atomic.Bool

	rpcs observe.RPCs // for traces; also read by clients

	*scratch // between Read and Release
}

// scratch is the memory that a message is rendered in. It is lent for that time
// only: many private streams say little each, and one buffer that is warm serves
// them faster than a cold one of their own.
type scratch struct {
	tapped                transcode.Tapped // of the message that was read
	json, id, name, frame []byte
}

//nolint:gochecknoglobals // memory that is used again.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Release gives back what the message that was read has been rendered in.
func (f *source) Release() {
	if cap(f.json) <= keepBuffer && cap(f.frame) <= keepBuffer {
		scratches.Put(f.scratch)
	}
	f.scratch = nil
	if f.rendered != nil {
		f.rendered()
		f.rendered = nil
	}
}

// Open opens the RPC anew, by the newest schema.
func (f *source) Open(ctx context.Context, cursor []byte) (topic.Stream, error) {
	f.stream = nil // the one before has no trailers to this one's end
	f.asked = f.asked && !f.accepted
	f.latest = f.latest[:0]
	f.atCursor = cursor != nil
	b, err := f.endpoint.Await(ctx, nil)
	if err != nil {
		return nil, err
	}
	call := f.call
	call.Impatient = *f.endpoint.Route.Reconnect.Attempts > 0
	if f.moves() {
		f.movable.Store(cursor != nil)
		call.Movable = f.movable.Load
	}
	if cursor != nil {
		// A private stream that is opened again at a cursor has missed little.
		call.Replay = f.catchUp || f.caughtUp && !f.accepted
		call.Base = append([]byte{}, f.call.Request...)
		if call.Request, err = b.Resume.Apply(f.call.Request, cursor); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCursor, err)
		}
	}
	ctx, call, span := f.rpcs.Start(ctx, f.endpoint.Backend.Name, f.endpoint.Backend.Upstream, call)
	counted := f.endpoint.Backend.Counts.Begin(f.opened)
	f.opened = true
	stream, err := f.endpoint.Backend.Open(ctx, call)
	if err != nil {
		counted.Ended(err)
		span.Ended(err)
		return nil, f.endpoint.Failures.Note(err)
	}
	f.binding, f.stream = b, stream
	return rpc{stream, f, counted, span, newIdleWatch(time.Duration(f.endpoint.Route.IdleTimeout), stream)}, nil
}

// rpc is an RPC whose internal failures are noted once, however many clients
// are told of them.
type rpc struct {
	*upstream.Stream
	source  *source
	counted *observe.Stream
	span    *observe.RPCSpan
	idle    *idleWatch // nil: for ever
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

// Next hands over the next message.
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
	if err == io.EOF { //nolint:errorlint // the RPC's own, not one that the function wraps
		r.counted.Ended(nil)
		r.span.Ended(err)
	}
	return err // io.EOF, or the function's own
}

// noteEnd counts an end that is this side's doing.
func (r rpc) noteEnd(err error) {
	switch {
	case err == nil:
	case errors.Is(err, upstream.ErrMoved):
		r.counted.Moved()
	case errors.Is(err, upstream.ErrIdle):
		r.counted.Idled()
	}
}

// Close ends the RPC, if it has not ended.
func (r rpc) Close() {
	r.Stream.Close()
	r.counted.Ended(errGivenUp)
	r.span.Ended(nil)
}

// errGivenUp is the end of an RPC that the bridge has no use for any more.
var errGivenUp = status.Error(codes.Canceled, "the topic has no clients")

// Read transcodes a message.
func (f *source) Read(ctx context.Context, wire []byte) (topic.Message, error) {
	f.scratch = scratches.Get().(*scratch) //nolint:errcheck,forcetypeassert // the pool has nothing else
	if f.atCursor && f.binding.SaysExpired(wire) {
		return topic.Message{Expired: true}, nil
	}
	f.endpoint.Counts.Received(wire)
	var err error
	if f.rendered, err = f.render(ctx, wire); err != nil {
		return topic.Message{}, err
	}
	err = f.read(ctx, wire)
	f.atCursor = f.atCursor && len(f.tapped.ID) == 0 // a greeting may come before the refusal
	f.compare(f.tapped.ID)
	if err != nil {
		err = f.unshown(err)
	}
	return topic.Message{Cursor: f.tapped.ID}, err
}

// clientsOwn reports whether the cursor at which the newest RPC was opened came
// from a client and is unknown to the backend. Soon after its start the bridge
// cannot tell: clients that were connected before come back then.
func (f *source) clientsOwn() bool {
	if most := f.endpoint.MaxCatchUp(); f.caughtUp && most > 0 && f.frames == most {
		return true // it was away for too long
	}
	return f.asked && time.Since(f.sources.Born) >= time.Duration(*f.endpoint.Route.Replay.Linger)
}

// Event renders the message that was read.
func (f *source) Event() (frame []byte, id string) {
	f.asked = f.asked && len(f.tapped.ID) == 0
	f.frames++
	f.ids.Message(f.tapped.ID)
	f.id = f.ids.AppendID(f.id[:0])
	f.endpoint.Counts.Rendered(f.tapped.Path, f.id)
	f.name = f.appendName(f.name[:0])
	f.frame = sse.AppendEvent(f.frame[:0], f.id, f.name, f.tapped.Data)
	f.noteMovable()
	return f.frame, f.logID(f.id)
}

// moves reports whether the upstream moves RPCs of this route between addresses.
// Only routes with cursors are moved.
func (f *source) moves() bool { return f.endpoint.Backend.Moves && f.endpoint.Route.Resume != nil }

// noteMovable notes whether an RPC that ends now is opened again at a cursor.
func (f *source) noteMovable() {
	if f.moves() {
		_, _, ok := f.ids.Resume()
		f.movable.Store(ok)
	}
}

// Resume returns where an RPC that breaks now can be opened again.
func (f *source) Resume() (cursor []byte, since uint64, ok bool) {
	f.applyRepeats()
	return f.ids.Resume()
}

// unshown notes a message that cannot be shown: as an incident where it ends
// the stream, and else in the log, where a stream of them is not to flood it.
func (f *source) unshown(err error) error {
	f.endpoint.Counts.Unshown.Add(1)
	if f.endpoint.Route.OnBadMessage == config.OnBadMessageStop {
		return f.endpoint.Failures.Note(err)
	}
	f.unseen++
	if time.Since(f.warned) >= warnEvery {
		f.sources.Logger.Warn("a message cannot be shown",
			"route", f.endpoint.Route.Path, "messages", f.unseen, "error", printable.Text(err.Error(), errorBytes))
		f.warned, f.unseen = time.Now(), 0
	}
	return err
}

// read fills f.tapped with what is sent of a message. On an error, f.tapped.ID
// is the message's cursor if that much can be read.
func (f *source) read(ctx context.Context, wire []byte) error {
	err := f.transcode(ctx, wire)
	if id := sse.AppendCursor(f.id[:0], f.tapped.ID); len(id) > sse.MaxCursorBytes {
		f.tapped.ID = nil
		return fmt.Errorf("event.id has %d bytes, over the %d of an id", len(id), sse.MaxCursorBytes)
	}
	return err
}

// transcode fills f.tapped. A message that does not fit the schema may fit a
// newer one.
func (f *source) transcode(ctx context.Context, wire []byte) (err error) {
	if limit := f.endpoint.MessageBytes; len(wire) > limit {
		// That the id cannot be read either is no news.
		_ = f.binding.Plan.ReadTaps(wire, &f.tapped)
		return fmt.Errorf("a message of %d bytes is over limits.message_bytes (%d)", len(wire), limit)
	}
	f.json, err = f.binding.Plan.AppendTapped(f.json[:0], wire, &f.tapped)
	if !Curable(err) {
		return err
	}
	f.rendered() // asking the backend may take long
	var newest *site.Binding
	topic.OutOfLane(ctx, func() { newest = f.endpoint.Refresh(ctx) })
	again, waitErr := f.render(ctx, wire)
	if f.rendered = again; newest == nil || waitErr != nil {
		return err
	}
	f.binding = newest
	f.json, err = f.binding.Plan.AppendTapped(f.json[:0], wire, &f.tapped)
	return err
}

// render waits until a message may be rendered.
func (f *source) render(ctx context.Context, wire []byte) (end func(), err error) {
	return f.sources.Rendering.Begin(ctx, f.endpoint.Backend.Intake, wire)
}

// Curable reports whether a newer schema may help.
func Curable(err error) bool {
	failed := new(transcode.Error)
	return errors.As(err, &failed) && (failed.Kind == transcode.KindUnresolvable || failed.Kind == transcode.KindUndecodable)
}

func (f *source) appendName(dst []byte) []byte {
	switch {
	case f.endpoint.Route.Event.Name.Constant != "":
		return append(dst, f.endpoint.Route.Event.Name.Constant...)
	case f.tapped.HasName:
		return sse.AppendName(dst, f.tapped.Name)
	}
	return dst
}

// logID is the id by which the log finds the frame; positions are found by
// their number.
func (f *source) logID(id []byte) string {
	if f.endpoint.Mode != sse.Cursors {
		return ""
	}
	return string(id)
}

// Gap renders a gap that all of the topic's clients are told.
func (f *source) Gap(why reason.Gap) (frame []byte, id string) {
	f.rpcs.Gap(why)
	f.endpoint.Counts.Gaps.InLog(why, why == reason.GapExpired && f.clientsOwn())
	f.frames++
	f.asked, f.caughtUp = false, f.caughtUp && why == reason.GapUntranscodable
	last := string(f.ids.AppendID(nil))
	if why == reason.GapUntranscodable {
		f.ids.Message(f.tapped.ID) // in the message's place
	} else {
		f.ids.Break()
	}
	f.noteMovable()
	at := f.ids.AppendID(nil)
	return sse.AppendGap(nil, sse.Gap{Reason: why, LastEventID: last, ResumedFrom: string(at)}), f.logID(at)
}

// End renders the last words of a stream.
func (f *source) End(err error) (frame []byte, id string) {
	final := f.ids.AppendFinal(nil)
	if err != nil {
		return sse.AppendError(nil, final, f.endpoint.Failures.Of(err).Data(f.trailers())), f.logID(final)
	}
	if done := f.endpoint.Route.Done; done != "" {
		frame = sse.AppendEvent(nil, f.doneID(final), nil, []byte(done))
	}
	return sse.AppendEnd(frame, final, endData(f.trailers())), f.logID(final)
}

// endData is the data of stream-end.
func endData(trailers map[string]string) []byte {
	data, err := json.Marshal(struct {
		Trailers map[string]string `json:"trailers,omitempty"`
	}{trailers})
	if err != nil {
		panic(err) // strings can be rendered
	}
	return data
}

// doneID is the final id already, where ids are sent: a client that is cut
// after the literal has seen the end.
func (f *source) doneID(final []byte) []byte {
	if f.endpoint.Mode == sse.None {
		return nil
	}
	return final
}

// trailers are those of the newest RPC that the route allows, binary ones left
// out.
func (f *source) trailers() map[string]string {
	shown := map[string]string{}
	if f.stream == nil {
		return shown
	}
	sent := f.stream.Trailer()
	for _, name := range f.endpoint.Route.Trailers {
		name = strings.ToLower(name)
		if values := sent.Get(name); len(values) > 0 {
			shown[name] = strings.Join(values, ", ")
		}
	}
	return shown
}
