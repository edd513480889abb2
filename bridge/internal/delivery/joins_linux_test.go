package delivery

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A client may come at every offset of a chain, while others are sent blocks of
// their own in the midst of it.
func TestWaysJoinEverywhere(t *testing.T) {
	const held, more = 140, 80
	onWays(t, ways, func(t *testing.T, s *stand) {
		source := newSource(1 << 20)
		var frames []string
		add := func() {
			frames = append(frames, fmt.Sprintf(`data: {"symbol":"S%d","price":%d.50,"of":"the same words again"}`, len(frames)%7, len(frames)))
			source.append(frames[len(frames)-1])
		}
		for range held {
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
		if !s.gzip || s.way.network != "tcp" || !s.way.handed {
			step = 7
		}
		var all []*ear
		for position := uint64(0); position <= held; position += step {
			at.Store(position)
			all = append(all, s.listen(t))
		}
		for i := range more {
			add()
			if i%10 == 0 {
				source.tell(Status{Stale: i%20 == 0})
				for _, e := range []*ear{all[0], all[len(all)/2], all[len(all)-1]} {
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
