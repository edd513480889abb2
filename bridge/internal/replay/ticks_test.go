package replay

import (
	"fmt"
	"math/rand/v2"
)

// tickSource makes frames like those of a market data stream: an id, a name and about 300 bytes of
// JSON.
type tickSource struct {
	random *rand.Rand
	seq    int
}

func newTickSource() *tickSource { return &tickSource{random: rand.New(rand.NewPCG(1, 2))} }

func (k *tickSource) appendTo(dst []byte) []byte {
	k.seq++
	r := k.random
	price := 10_000 + r.IntN(90_000)
	return fmt.Appendf(dst, "id: k3v9x2m4q8w1z7t5r6y0b2n4pd-%d\nevent: tick\ndata: "+
		`{"symbol":"%s","venue":"%s","seq":"%d","price":{"units":"%d","nanos":%d},"size":"%d","side":"%s","time":"2026-11-20T14:%02d:%02d.%09dZ",`+
		`"orderId":"%016x","bid":%d.%02d,"ask":%d.%02d,"conditions":["%s","%s"],"trace":"%08x"}`+"\n\n",
		k.seq, []string{"ACME", "GLOBEX", "INITECH", "HOOLI", "UMBRELLA", "STARK", "WAYNE", "CYBER"}[r.IntN(8)],
		[]string{"XNAS", "XNYS", "XLON", "XETR"}[r.IntN(4)], 88_000_000+k.seq, price/100, r.IntN(1000)*1_000_000, 100*(1+r.IntN(50)),
		[]string{"SIDE_BUY", "SIDE_SELL"}[r.IntN(2)], k.seq/1800%60, k.seq/30%60, r.IntN(1_000_000_000), r.Uint64(),
		price/100-1, r.IntN(100), price/100+1, r.IntN(100), []string{"REGULAR", "ODD_LOT", "OPENING"}[r.IntN(3)],
		[]string{"ELECTRONIC", "MANUAL"}[r.IntN(2)], r.Uint32())
}
