package topic_test

import (
	"testing"

	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// A client that has to change logs makes room for the one that it needs: its own, which has no other
// reader.
func TestMoveAtTheLimitOfTopics(t *testing.T) {
	inScript(t, func(s *schedule) {
		s.log.Events = 2
		s.bridges[0] = topic.NewRegistry(topic.Limits{Topics: 2, Idle: 2, Bytes: 1 << 30})
	}, func(s *script) {
		s.says("c1")
		x := s.comes(0, "c1")
		s.sends("c2")
		s.runs("-")
		s.sends("c3 c4 c5 c6") // main has moved on
		x.read(1)
		x.read(1)
		s.flows()
		s.hears(x, "open(c1) m1(c2) m2(c3) m3(c4) m4(c5) m5(c6)")
	})
}
