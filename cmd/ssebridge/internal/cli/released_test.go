package cli

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The streams of one connection keep none of the headers that they came with: 12 MB of cookies are forgotten while all streams run.
func TestStreamsKeepNoHeaders(t *testing.T) {
	const streams, cookie = 200, 60 << 10
	_, public, _ := startServe(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(public, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{}, streams)
	go func() {
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if _, begins := frame.(*http2.HeadersFrame); begins {
				began <- struct{}{}
			}
		}
	}()
	open := func(id uint32, cookie string) {
		t.Helper()
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		encoder.SetMaxDynamicTableSize(0)
		for _, field := range []hpack.HeaderField{
			{Name: ":method", Value: "GET"},
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "bridge"},
			{Name: ":path", Value: "/clock"},
			{Name: "cookie", Value: cookie},
		} {
			if err := encoder.WriteField(field); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeBlock(framer, id, block.Bytes()); err != nil {
			t.Fatal(err)
		}
		<-began
	}
	open(1, "first")
	before := heap()
	for i := range streams {
		open(uint32(2*i+3), strings.Repeat("c", cookie))
	}
	grown := heap() - before
	for end := time.Now().Add(20 * time.Second); grown > streams*cookie*2/3 && time.Now().Before(end); grown = heap() - before {
		time.Sleep(100 * time.Millisecond) // a busy machine has not come to all of their handlers yet
	}
	if grown > streams*cookie*2/3 {
		t.Errorf("%d streams that came with %d bytes of headers keep %d", streams, streams*cookie, grown)
	}
}

// writeBlock sends a header block in as many frames as it takes.
func writeBlock(framer *http2.Framer, id uint32, block []byte) error {
	const frame = 16 << 10
	rest := block[min(len(block), frame):]
	err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, EndStream: true, BlockFragment: block[:len(block)-len(rest)], EndHeaders: len(rest) == 0,
	})
	for err == nil && len(rest) > 0 {
		next := rest[:min(len(rest), frame)]
		rest = rest[len(next):]
		err = framer.WriteContinuation(id, len(rest) == 0, next)
	}
	return err
}

// heap is what is in use after a collection.
func heap() int {
	runtime.GC()
	runtime.GC() // what sync.Pool kept over the first
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
