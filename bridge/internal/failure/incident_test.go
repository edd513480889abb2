package failure

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

// A hostile backend, or a client that can influence the text of an error, may cause failures
// with ever new texts.
func TestLogLinesOfFailedCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := NewIncidents(slog.New(slog.NewTextHandler(&text, nil)))
		const calls, windows = 15_000, 3
		for range windows {
			for i := range calls {
				id := log.note(cause{route: fmt.Sprintf("/%d", i%7), code: codes.Code(i%17 + 1), text: fmt.Sprintf("failure %d", i)})
				if id == "" {
					t.Fatal("a failure has no id")
				}
			}
			time.Sleep(incidentWindow)
			synctest.Wait()
		}
		log.Close()
		// A cause has two lines: when it begins, and at the end of its window. Further causes share two for each code.
		const most = 2 * (incidentCauses + 17) * windows
		lines := strings.Count(text.String(), "\n")
		if lines > most || lines < incidentCauses {
			t.Errorf("%d calls wrote %d lines, at most %d are allowed", calls*windows, lines, most)
		}
		counted := strings.Count(text.String(), "a call failed")
		for line := range strings.Lines(text.String()) {
			var more int
			if _, number, ok := strings.Cut(line, " calls="); ok {
				if _, err := fmt.Sscan(number, &more); err != nil {
					t.Fatal(err)
				}
			}
			counted += more
		}
		if counted != calls*windows {
			t.Errorf("the log counts %d calls, want %d", counted, calls*windows)
		}
	})
}

func TestFailuresOfOneCauseShareALogLineAndAnID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := NewIncidents(slog.New(slog.NewTextHandler(&text, nil)))
		same := cause{route: "/feed", code: codes.Internal, text: "the disk is full"}
		id := log.note(same)
		for range 999 {
			if again := log.note(same); again != id {
				t.Fatalf("failures of one cause have the ids %s and %s", id, again)
			}
		}
		if other := log.note(cause{route: "/other", code: codes.Internal, text: "the disk is full"}); other == id {
			t.Error("the failure of another route has the same id")
		}
		time.Sleep(incidentWindow)
		synctest.Wait()
		if lines := strings.Count(text.String(), "\n"); lines != 3 || !strings.Contains(text.String(), "like="+id+" calls=999") {
			t.Errorf("logged %s", &text)
		}
		if later := log.note(same); later == id {
			t.Error("a failure after the window has the same id")
		}
		log.Close()
	})
}
