package bridge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/ssebridge/ssebridge/bridge/internal/sse"
	"github.com/ssebridge/ssebridge/bridge/internal/transcode"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream"
)

// tickSocketEnv makes a copy of the test's executable the backend, with the path of its socket.
const tickSocketEnv = "SSEBRIDGE_TEST_TICK_SOCKET"

// tickMethod is the method of the ticks. The backend accepts any method.
const tickMethod = "ssebridge.test.v1.FeedService/Watch"

// tick is the message of 49 bytes in docs/benchmarks.md.
func tick() *testv1.BenchTick {
	return &testv1.BenchTick{
		Symbol: "EURUSD", Bid: 1.08345, Ask: 1.08347, Volume: 1_530_000, Seq: 982_451_653,
		At: timestamppb.New(time.Date(2026, time.March, 14, 12, 0, 0, 123456789, time.UTC)),
	}
}

// TestTickBackend is the backend of BenchmarkReceiveTicks, in a process of its own, until its
// standard input ends. Without the variable there is nothing to test.
func TestTickBackend(t *testing.T) {
	path := os.Getenv(tickSocketEnv)
	if path == "" {
		return
	}
	wire, err := proto.Marshal(tick())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { newTicker(conn, wire).serve() })
		}
	})
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = listener.Close()
	conns.Wait() // the client has closed its connections
}

// ticker answers the RPCs of one connection with the same message, repeatedly, each in a DATA frame
// of its own as grpc-go's server does, but with many frames in one write. A server that makes each
// frame separately is slower than the faster ones of the compared clients, so their waiting would
// be measured.
type ticker struct {
	conn   net.Conn
	framer *http2.Framer
	data   []byte // a message behind gRPC's prefix of five bytes

	mu      sync.Mutex // guards the fields below, and the framer's writes
	changed *sync.Cond
	closed  bool
	initial int            // the window of a new stream
	window  int            // the window of the connection
	streams map[uint32]int // the windows of streams
}

func newTicker(conn net.Conn, wire []byte) *ticker {
	t := &ticker{
		conn: conn, framer: http2.NewFramer(conn, bufio.NewReader(conn)), initial: 65535, window: 65535, streams: map[uint32]int{},
		data: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(wire))), wire...),
	}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// serve reads the client's frames until it disconnects.
func (t *ticker) serve() {
	var running sync.WaitGroup
	defer running.Wait()
	defer func() { _ = t.conn.Close() }()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(t.conn, preface); err != nil {
		return
	}
	t.mu.Lock()
	err := t.framer.WriteSettings()
	t.mu.Unlock()
	for err == nil {
		var frame http2.Frame
		if frame, err = t.framer.ReadFrame(); err == nil {
			err = t.take(frame, &running)
		}
	}
	t.mu.Lock()
	t.closed = true
	t.changed.Broadcast()
	t.mu.Unlock()
}

func (t *ticker) take(frame http2.Frame, running *sync.WaitGroup) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.changed.Broadcast()
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			t.initial = int(v)
		}
		return t.framer.WriteSettingsAck()
	case *http2.PingFrame:
		if !f.IsAck() {
			return t.framer.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			t.window += int(f.Increment)
		} else if _, open := t.streams[f.StreamID]; open {
			t.streams[f.StreamID] += int(f.Increment)
		}
	case *http2.HeadersFrame:
		id := f.StreamID
		t.streams[id] = t.initial
		running.Go(func() { t.stream(id) })
		return t.answer(id)
	case *http2.RSTStreamFrame:
		delete(t.streams, f.StreamID)
	}
	return nil
}

func (t *ticker) answer(id uint32) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc+proto"}} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	return t.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
}

// stream writes messages as far as the windows permit.
func (t *ticker) stream(id uint32) {
	const most = 256
	var frames bytes.Buffer
	framer := http2.NewFramer(&frames, nil)
	for range most {
		if err := framer.WriteData(id, false, t.data); err != nil {
			return
		}
	}
	size := frames.Len() / most
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		window, open := t.streams[id]
		if t.closed || !open {
			return
		}
		n := min(window, t.window) / len(t.data)
		if n == 0 {
			t.changed.Wait()
			continue
		}
		n = min(n, most)
		t.window -= n * len(t.data)
		t.streams[id] -= n * len(t.data)
		if _, err := t.conn.Write(frames.Bytes()[:n*size]); err != nil {
			return
		}
	}
}

// startTicks starts the backend and returns its target.
func startTicks(b *testing.B) string {
	b.Helper()
	socket := filepath.Join(b.TempDir(), "ticks.sock")
	command := exec.Command(os.Args[0], "-test.run=^TestTickBackend$", "-test.timeout=10m")
	command.Env = append(os.Environ(), tickSocketEnv+"="+socket)
	stop, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stop.Close()
		if err := command.Wait(); err != nil {
			b.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("the backend says %q, %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return "unix:" + socket
}

// receiver receives the messages of a stream, one at each call.
type receiver struct {
	name    string
	receive func() error
}

// dial gives each receiver a connection of its own, all with the same options, so that what differs
// is the way a message goes. (Keepalive, which the bridge's own connections have, is a look at the
// clock for each message.)
func dial(b *testing.B, target string) *grpc.ClientConn {
	b.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}

// openTicks opens the RPC without package upstream.
func openTicks(b *testing.B, target string, options ...grpc.CallOption) grpc.ClientStream {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	stream, err := dial(b, target).NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+tickMethod, options...)
	if err != nil {
		b.Fatal(err)
	}
	if err := stream.SendMsg(&testv1.WatchRequest{}); err != nil {
		b.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		b.Fatal(err)
	}
	return stream
}

// decoded is what a simple program does: grpc-go's own codec, a dynamic message, protojson.
func decoded(b *testing.B, target string) receiver {
	b.Helper()
	stream := openTicks(b, target)
	md := tick().ProtoReflect().Descriptor()
	return receiver{"default codec, dynamicpb, protojson", func() error {
		msg := dynamicpb.NewMessage(md)
		if err := stream.RecvMsg(msg); err != nil {
			return err
		}
		_, err := protojson.Marshal(msg)
		return err
	}}
}

// inside is the alternative for the bridge: a codec that transcodes while grpc-go still owns the bytes.
func inside(b *testing.B, target string, plan *transcode.Plan) receiver {
	b.Helper()
	stream := openTicks(b, target, grpc.ForceCodecV2(insideCodec{plan}))
	var json []byte
	return receiver{"a codec that transcodes in Unmarshal", func() error { return stream.RecvMsg(&json) }}
}

// insideCodec appends the JSON of each message.
type insideCodec struct{ plan *transcode.Plan }

func (insideCodec) Name() string { return "proto" }

func (insideCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil } // an empty request

func (c insideCodec) Unmarshal(data mem.BufferSlice, v any) (err error) {
	whole := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer whole.Free()
	json, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("cannot receive into a %T", v)
	}
	*json, err = c.plan.AppendJSON((*json)[:0], whole.ReadOnlyData())
	return err
}

// raw is how the bridge receives, including its work for each message.
func raw(b *testing.B, target, name string, each func(wire []byte) error) receiver {
	b.Helper()
	u, err := upstream.New(upstream.Params{
		Name: "ticks", Conn: dial(b, target), Schema: upstream.SchemaParams{Descriptors: protoregistry.GlobalFiles},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := u.Close(); err != nil {
			b.Error(err)
		}
	})
	stream, err := u.Open(b.Context(), upstream.Call{Method: tickMethod})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stream.Close)
	return receiver{name, func() error { return stream.Next(each) }}
}

// receivers are all compared receivers.
func receivers(b *testing.B, target string) []receiver {
	b.Helper()
	md := tick().ProtoReflect().Descriptor()
	plain, err := transcode.Compile(md, transcode.Options{})
	if err != nil {
		b.Fatal(err)
	}
	tapping, err := transcode.Compile(md, transcode.Options{Taps: transcode.Taps{ID: "seq"}})
	if err != nil {
		b.Fatal(err)
	}
	var (
		json, id, frame []byte
		tapped          transcode.Tapped
		ids             = sse.NewNumbering(sse.NumberingParams{Mode: sse.Cursors, Epoch: "epoch"})
	)
	return []receiver{
		decoded(b, target),
		raw(b, target, "raw codec, nothing done", func([]byte) error { return nil }),
		raw(b, target, "raw codec, plan", func(wire []byte) (err error) {
			json, err = plain.AppendJSON(json[:0], wire)
			return err
		}),
		inside(b, target, plain),
		raw(b, target, "raw codec, plan with the id tapped, frame", func(wire []byte) (err error) {
			json, err = tapping.AppendTapped(json[:0], wire, &tapped)
			ids.Message(tapped.ID)
			id = ids.AppendID(id[:0])
			frame = sse.AppendEvent(frame[:0], id, nil, tapped.Data)
			return err
		}),
	}
}

const (
	receiveRounds = 10
	receiveBatch  = 20_000
)

// BenchmarkReceiveTicks measures the CPU time of the client's process for a tick, from the socket
// to its JSON, over a real stream from another process. It takes medians of ten rounds, each of
// which has all receivers, and fails below what the design promises.
func BenchmarkReceiveTicks(b *testing.B) {
	all := receivers(b, startTicks(b))
	for b.Loop() {
		cost := make([][]float64, len(all))
		for range receiveRounds {
			for i, r := range all {
				cost[i] = append(cost[i], cpuPerMessage(b, r))
			}
		}
		medians := make([]float64, len(all))
		var text strings.Builder
		for i, r := range all {
			slices.Sort(cost[i])
			medians[i] = (cost[i][receiveRounds/2-1] + cost[i][receiveRounds/2]) / 2
			fmt.Fprintf(&text, "\n| %s | %.2f µs | %.1f× |", r.name, medians[i]/1000, medians[0]/medians[i])
		}
		b.Log(text.String())
		for i, want := range []float64{2: 7.5, 4: 6} {
			if got := medians[0] / medians[i]; got < want {
				b.Errorf("%s: %.2f×, not %.2f×", all[i].name, got, want)
			}
		}
	}
}

// cpuPerMessage returns the CPU time of this process for one message, in nanoseconds.
func cpuPerMessage(b *testing.B, r receiver) float64 {
	b.Helper()
	before := cpuTime(b)
	for range receiveBatch {
		if err := r.receive(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(cpuTime(b)-before) / receiveBatch
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
