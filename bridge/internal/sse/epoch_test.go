package sse

import (
	"crypto/rand"
	"strings"
	"testing"
)

// An epoch is known to the bridge and the route that wrote it, and by its checksum to all others as one that some bridge wrote.
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
			t.Fatalf("a bridge does not know its own %s", epoch)
		}
		if elsewhere.Wrote(7, epoch) || here.Wrote(8, epoch) {
			foreign++
		}
		if random := rand.Text(); isEpoch(random) || here.Wrote(7, random) {
			madeUp++
		}
		if lower := strings.ToLower(epoch); isEpoch(lower) || isEpoch(epoch[1:]) || isEpoch(epoch+"A") || isEpoch("") {
			t.Fatalf("what is no epoch passes beside %s", epoch)
		}
	}
	// Each passes once in 32,768 times.
	if foreign > 3 || madeUp > 3 {
		t.Errorf("of %d epochs, %d of others were taken for the bridge's own, and %d that are made up passed", rounds, foreign, madeUp)
	}
}
