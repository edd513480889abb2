package sse

import (
	"crypto/rand"
	"strings"
	"testing"
)

// The bridge and route that made an epoch recognise it. All others recognise it as that of some bridge.
func TestEpochsAreRecognised(t *testing.T) {
	here, elsewhere := NewEpochs(), NewEpochs()
	const rounds = 2000
	var foreign, madeUp int
	for range rounds {
		epoch, other := here.New(7), here.New(7)
		if epoch == other || len(epoch) != epochBytes {
			t.Fatal(epoch, other)
		}
		if id := ParseID(Positions, string(AppendPosition(nil, epoch, 7))); id.Epoch != epoch || id.Seq != 7 {
			t.Fatalf("%+v", id)
		}
		if !here.Wrote(7, epoch) {
			t.Fatalf("a bridge does not recognise its own %s", epoch)
		}
		if elsewhere.Wrote(7, epoch) || here.Wrote(8, epoch) {
			foreign++
		}
		if random := rand.Text(); isEpoch(random) || here.Wrote(7, random) {
			madeUp++
		}
		if lower := strings.ToLower(epoch); isEpoch(lower) || isEpoch(epoch[1:]) || isEpoch(epoch+"A") || isEpoch("") {
			t.Fatalf("an altered form of %s passes as an epoch", epoch)
		}
	}
	// Each passes once in 32,768 times.
	if foreign > 3 || madeUp > 3 {
		t.Errorf("of %d epochs, %d foreign ones and %d invented ones passed as the bridge's own", rounds, foreign, madeUp)
	}
}
