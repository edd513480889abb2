package prometheus

import (
	"testing"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

func TestMain(m *testing.M) { bridgetest.Main(m) }
