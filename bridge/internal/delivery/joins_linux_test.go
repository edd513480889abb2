package delivery

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Clients join at every place of a compression chain, while others get blocks of their own within it.
func TestClientsJoinAtEveryFrameOnEveryPath(t *testing.T) {
	const present, more = 140, 80
	onPaths(t, allPaths, func(t *testing.T, s *socketServer) {
		source := newSource(1 << 20)
		var frames []string
		add := func() {
			frames = append(frames, fmt.Sprintf(`data: {"symbol":"S%d","price":%d.50,"of":"the same words again"}`, len(frames)%7, len(frames)))
			source.append(frames[len(frames)-1])
		}
		for range present {
			add()
		}
		var at atomic.Uint64
		s.client = func(*http.Request) *Client {
			position := at.Load()
			policy := Policy{Heartbeat: time.Duration(1+position%5) * time.Millisecond, Comments: position%2 == 0}
			return &Client{
				Source: source, Blocks: blocks{source: source, beat: beatOf(policy)}, Policy: policy,
				First: []byte("first\n\n"), Position: position, Gzip: s.gzip,
			}
		}
		step := uint64(1)
		if !s.gzip || s.path.network != "tcp" || !s.path.direct {
			step = 7
		}
		var all []*socketClient
		for position := uint64(0); position <= present; position += step {
			at.Store(position)
			all = append(all, s.connect(t))
		}
		for i := range more {
			add()
			if i%10 == 0 {
				source.setAndNotify(Status{Stale: i%20 == 0})
				for _, e := range []*socketClient{all[0], all[len(all)/2], all[len(all)-1]} {
					e.awaitCount(t, frames[len(frames)-1], 1)
				}
			}
		}
		source.log.Close()
		for i, e := range all {
			expectFrames(t, strings.ReplaceAll(e.awaitEnd(t, true), ":\n", ""), frames[uint64(i)*step:])
		}
	})
}
