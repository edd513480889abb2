package proxy

import (
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridge"
)

func TestMain(m *testing.M) { bridge.Main(m) }
