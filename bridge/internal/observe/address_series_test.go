package observe

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/ssebridge/ssebridge/upstream"
)

// The series "other" has the RPCs of all addresses beyond the first 32.
func TestSeriesOfAddressesAreBounded(t *testing.T) {
	const addresses = 250
	all := make([]upstream.AddressUsage, addresses)
	for i := range all {
		all[i] = upstream.AddressUsage{Address: fmt.Sprintf("10.0.0.%d:1", i), Ready: i%2 == 0, Streams: i}
	}
	registered, ok := Collector(nil).(*collector)
	if !ok {
		t.Fatal("Collector returns another type")
	}
	out := make(chan prometheus.Metric, 2*addresses)
	scrape{collector: registered, out: out}.addresses("app", all)
	close(out)
	series, streams, states := 0, 0.0, 0.0
	for metric := range out {
		var sent dto.Metric
		if err := metric.Write(&sent); err != nil {
			t.Fatal(err)
		}
		switch sent.GetLabel()[0].GetName() {
		case "address":
			series++
			streams += sent.GetGauge().GetValue()
		case labelState:
			states += sent.GetGauge().GetValue()
		}
	}
	if series != maxAddresses+1 || streams != addresses*(addresses-1)/2 || states != addresses {
		t.Errorf("%d series of addresses count %v RPCs, and the series of states %v addresses", series, streams, states)
	}
}
