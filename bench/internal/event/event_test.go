package event

import (
	"bytes"
	"io"
	"net/http/httputil"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

func TestJSONIsThatOfTheMessage(t *testing.T) {
	sent := time.Unix(1700000000, 123456789)
	for place := range uint64(1000) {
		want := &testv1.FeedEvent{
			Seq: int64(place), Cursor: string(AppendStamp(nil, place, sent)), Kind: Kind,
			Body: &testv1.FeedEvent_Note{Note: &testv1.Note{Text: Text(place)}}, Level: testv1.Level_LEVEL_INFO,
		}
		if place == 0 {
			continue // proto3 JSON leaves a zero out, and no stream has that place
		}
		text, err := protojson.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		// protojson puts spaces where it likes.
		got := AppendJSON(nil, place, sent)
		if !bytes.Equal(unspaced(text), unspaced(got)) {
			t.Fatalf("place %d:\n%s\n%s", place, got, text)
		}
		if len(got) < 250 || len(got) > 300 {
			t.Fatalf("an event of %d bytes", len(got))
		}
		if bytes.Count(got, []byte{mark}) != 1 {
			t.Fatalf("more marks than one: %s", got)
		}
	}
}

func unspaced(text []byte) []byte { return bytes.ReplaceAll(text, []byte(" "), nil) }

func TestParserFindsEveryEventHoweverItIsCut(t *testing.T) {
	sent := time.Unix(1700000000, 987654321)
	var stream []byte
	for place := uint64(1); place <= 20; place++ {
		stream = AppendFrame(stream, place, sent)
	}
	for size := 1; size <= len(stream); size++ {
		var p Parser
		next := uint64(1)
		for from := 0; from < len(stream); from += size {
			p.Feed(stream[from:min(from+size, len(stream))], func(place uint64, at int64) {
				if place != next || at != sent.UnixNano() {
					t.Fatalf("pieces of %d: place %d at %d, want place %d", size, place, at, next)
				}
				next++
			})
		}
		if next != 21 {
			t.Fatalf("pieces of %d: found %d events", size, next-1)
		}
	}
}

func TestChunkHoldsTheFrame(t *testing.T) {
	sent := time.Unix(1700000000, 1)
	got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(append(AppendChunk(nil, 7, sent), "0\r\n\r\n"...))))
	if err != nil || !bytes.Equal(got, AppendFrame(nil, 7, sent)) {
		t.Fatalf("%q, %v", got, err)
	}
}
