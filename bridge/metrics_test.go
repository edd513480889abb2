package bridge_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/config"
	"github.com/ssebridge/ssebridge/bridge/internal/admit"
	"github.com/ssebridge/ssebridge/bridge/ssetest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
	"github.com/ssebridge/ssebridge/upstream/backendtest"
)

// scrape returns all metrics by name{label="value",…}, with sorted labels. A histogram has its count.
func scrape(tb testing.TB, b *bridge.Bridge) map[string]float64 {
	tb.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(b.Collector())
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			all[seriesName(family.GetName(), m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

func seriesName(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(labels) == 0 {
		return name
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

// moved returns the differences between two scrapes, without times and lags. A gauge has its newer value.
func moved(before, after map[string]float64) map[string]float64 {
	found := map[string]float64{}
	for name, value := range after {
		counts := strings.Contains(name, "_total") || strings.Contains(name, "_seconds{")
		switch {
		case strings.Contains(name, "_bytes") || strings.Contains(name, "_lag_") || strings.Contains(name, "timestamp"):
		case counts && value != before[name]:
			found[strings.TrimPrefix(name, "ssebridge_")] = value - before[name]
		case !counts && value != before[name]:
			found[strings.TrimPrefix(name, "ssebridge_")] = value
		}
	}
	return found
}

func TestEveryLimitThatShedsIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `ssebridge_shed_total`.*$").FindString(string(text))
	for _, limit := range admit.Limits() {
		if name := strings.TrimPrefix(limit, "limits."); !strings.Contains(row, "`"+name+"`") {
			t.Errorf("the row of ssebridge_shed_total does not name %s: %s", name, row)
		}
	}
}

// docs/metrics.md has each metric with its type and its labels, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(ssebridge_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([a-z, ]*)\\| [^|]+ \\|[^|]*\\|$")
	documented := map[string]string{}
	ofBridge, ofCommand, found := strings.Cut(string(text), "\n## The command\n")
	if !found {
		t.Fatal("there is no section about the command's own metrics")
	}
	ofCommand, alerts, _ := strings.Cut(ofCommand, "\n## ")
	for _, found := range row.FindAllStringSubmatch(ofBridge, -1) {
		if documented[found[1]] != "" {
			t.Errorf("%s is listed twice", found[1])
		}
		documented[found[1]] = found[2] + " " + strings.TrimSpace(found[3])
	}
	inWorld(t, feedRoute(""), func(t *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		registry.MustRegister(w.Bridge.Collector())
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		present := map[string]string{}
		for _, family := range families {
			var labels []string
			for _, l := range family.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			slices.Sort(labels)
			present[family.GetName()] = strings.ToLower(family.GetType().String()) + " " + strings.Join(labels, ", ")
		}
		for name, what := range documented {
			kind, labels, _ := strings.Cut(what, " ")
			sorted := strings.Split(labels, ", ")
			slices.Sort(sorted)
			documented[name] = kind + " " + strings.Join(sorted, ", ")
		}
		for name := range documented { // TestTheClientCertificateOfAnUpstreamHasMetrics covers these
			if strings.HasPrefix(name, "ssebridge_upstream_certificate_") && present[name] == "" {
				present[name] = documented[name]
			}
		}
		if diff := cmp.Diff(present, documented); diff != "" {
			t.Errorf("the bridge (-) and its documentation (+) differ:\n%s", diff)
		}
	})
	for _, found := range row.FindAllStringSubmatch(ofCommand, -1) { // a test of the command compares these
		documented[found[1]] = found[2]
	}
	for _, name := range regexp.MustCompile(`ssebridge_[a-z_]+`).FindAllString(ofBridge+ofCommand+alerts, -1) {
		if documented[name] == "" {
			t.Errorf("the documentation names %s, which is not a metric", name)
		}
	}
}

// Traffic adds none, even if it is hostile, so that it cannot fill the memory of Prometheus.
func TestSeriesExistFromTheStart(t *testing.T) {
	inWorld(t, feedRoute("request: {query: true}"), func(t *testing.T, w *world) {
		before := slices.Sorted(maps.Keys(scrape(t, w.Bridge)))
		for i := range 20 {
			path := fmt.Sprintf("/feed?topic=t%d&last_event_id=%d", i, i)
			w.listen(path, ssetest.Options{Header: http.Header{"User-Agent": {strconv.Itoa(i)}, "X-Forwarded-For": {strconv.Itoa(i)}}})
			call := w.rpc()
			call.send(&testv1.FeedEvent{Kind: fmt.Sprint("kind", i)}, unknownAny(strconv.Itoa(i)))
			call.end(status.Error(codes.Code(15+i), fmt.Sprint("message ", i)))
			w.do(http.MethodGet, fmt.Sprint("/nowhere", i), "")
		}
		synctest.Wait()
		after := scrape(t, w.Bridge)
		if diff := cmp.Diff(before, slices.Sorted(maps.Keys(after))); diff != "" {
			t.Error(diff)
		}
		if got := after[`ssebridge_upstream_ends_total{code="OTHER",kind="stream",upstream="app"}`]; got != 18 {
			t.Errorf("%v RPCs have ended with codes of the backend's own, want 18", got)
		}
	})
}

// Each number is checked.
func TestMetricsOfAFewClients(t *testing.T) {
	inWorld(t, feedRoute("replay: {events: 3}"), func(t *testing.T, w *world) {
		start := scrape(t, w.Bridge)
		step := func(name string, want map[string]float64) {
			t.Helper()
			time.Sleep(time.Second) // the frames are older than the next clients
			synctest.Wait()
			now := scrape(t, w.Bridge)
			if diff := cmp.Diff(want, moved(start, now)); diff != "" {
				t.Errorf("%s:\n%s", name, diff)
			}
			start = now
		}
		first := w.listen("/feed", ssetest.Options{})
		call := w.rpc()
		call.accept()
		step("a client", map[string]float64{
			`clients{route="/feed",transport="http"}`:            1,
			`connects_total{route="/feed",start="new"}`:          1,
			`requests_total{route="/feed",status="200"}`:         1,
			`topics{role="main",route="/feed",state="live"}`:     1,
			`upstream_accept_seconds{upstream="app"}`:            1,
			`upstream_opens_total{kind="stream",upstream="app"}`: 1,
			`upstream_streams{upstream="app"}`:                   1,

			`upstream_address_streams{address="passthrough:///memory",upstream="app"}`: 1,
		})
		call.count(1, 4)
		call.send(unknownAny("x"))
		step("messages", map[string]float64{
			`messages_received_total{route="/feed"}`:                                      5,
			`messages_transcoded_total{path="direct",route="/feed"}`:                      4,
			`messages_unshown_total{route="/feed"}`:                                       1,
			`gaps_total{cause="stream",reason="untranscodable",route="/feed",told="log"}`: 1,
			`gaps_told_total{reason="untranscodable",route="/feed"}`:                      1,
			`frames_sent_total{route="/feed"}`:                                            5,
			`delivery_seconds{route="/feed",transport="http"}`:                            1, // a sample of one in sixteen
		})
		ids := first.Snapshot().Events
		last := func(back int) http.Header { return http.Header{"Last-Event-Id": {ids[len(ids)-1-back].ID}} }
		w.listen("/feed", ssetest.Options{Header: last(2)})
		w.listen("/feed", ssetest.Options{Header: last(5)})
		w.listen("/feed", ssetest.Options{Header: http.Header{"Last-Event-Id": {"elsewhere-7"}}, H2C: true})
		step("three come back", map[string]float64{
			`clients{route="/feed",transport="http"}`:                                   4,
			`connects_total{route="/feed",start="resumed"}`:                             1,
			`connects_total{route="/feed",start="missed"}`:                              2,
			`requests_total{route="/feed",status="200"}`:                                3,
			`gaps_total{cause="stream",reason="expired",route="/feed",told="client"}`:   1,
			`gaps_total{cause="client",reason="forgotten",route="/feed",told="client"}`: 1,
			`gaps_told_total{reason="expired",route="/feed"}`:                           1,
			`gaps_told_total{reason="forgotten",route="/feed"}`:                         1,
			`gaps_told_total{reason="untranscodable",route="/feed"}`:                    3,
			`replays_total{route="/feed"}`:                                              1,
			`replayed_frames_total{route="/feed"}`:                                      2,
			`frames_sent_total{route="/feed"}`:                                          8,
		})
		call.end(status.Error(codes.Unavailable, "the backend is away"))
		w.rpc().accept()
		step("the RPC breaks", map[string]float64{
			`gaps_total{cause="stream",reason="upstream",route="/feed",told="log"}`: 1,
			`gaps_told_total{reason="upstream",route="/feed"}`:                      4,
			`frames_sent_total{route="/feed"}`:                                      4,
			`upstream_accept_seconds{upstream="app"}`:                               1,
			`upstream_ends_total{code="UNAVAILABLE",kind="stream",upstream="app"}`:  1,
			`upstream_opens_total{kind="stream",upstream="app"}`:                    1,
			`upstream_reconnects_total{upstream="app"}`:                             1,
		})
		first.Close()
		step("one leaves", map[string]float64{
			`clients{route="/feed",transport="http"}`:        3,
			`disconnects_total{reason="gone",route="/feed"}`: 1,
		})
	})
}

// The stream of a shed client ends with EndComplete, but its reason is shed.
func TestShedClientsAreCountedByReason(t *testing.T) {
	for _, limit := range []string{"topics", "clients"} {
		t.Run(limit, func(t *testing.T) {
			inWorld(t, "limits: {"+limit+": 1}\n"+feedRoute("request: {query: true}"), func(t *testing.T, w *world) {
				w.listen("/feed?topic=a", ssetest.Options{})
				w.rpc().accept()
				synctest.Wait()
				before := scrape(t, w.Bridge)
				expect(t, w.listen("/feed?topic=b", ssetest.Options{H2C: true}), "open retry:shed")
				want := map[string]float64{
					`disconnects_total{reason="shed",route="/feed"}`:   1,
					`shed_total{reason="` + limit + `",route="/feed"}`: 1,
					`frames_sent_total{route="/feed"}`:                 1,
					`requests_total{route="/feed",status="200"}`:       1,
				}
				synctest.Wait()
				got := moved(before, scrape(t, w.Bridge))
				delete(got, `delivery_seconds{route="/feed",transport="http"}`) // no time passes in this test between a frame and its delivery
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// They do so for a changed route, too. The counters of a removed route are gone.
func TestCountersContinueAcrossAReload(t *testing.T) {
	inWorld(t, "drain: {grace: 0s}\n"+routesOf("retry: 3s", "retry: 3s"), func(t *testing.T, w *world) {
		w.listen("/a", ssetest.Options{H2C: true})
		w.rpc().count(1, 3)
		hash := func(all map[string]float64) string {
			for name := range all {
				if strings.HasPrefix(name, "ssebridge_config_info") {
					return name
				}
			}
			return ""
		}
		before := scrape(t, w.Bridge)
		w.reloaded("drain: {grace: 0s}\n" + routesOf("retry: 5s"))
		time.Sleep(time.Minute) // until the clients of the old route have left, and its topic has ended
		after := scrape(t, w.Bridge)
		for name, want := range map[string]float64{
			`ssebridge_messages_received_total{route="/a"}`:                3,
			`ssebridge_frames_sent_total{route="/a"}`:                      3,
			`ssebridge_disconnects_total{reason="reload",route="/a"}`:      1,
			`ssebridge_clients{route="/a",transport="http"}`:               0,
			`ssebridge_config_reloads_total{result="ok"}`:                  1,
			`ssebridge_config_last_reload_successful`:                      1,
			`ssebridge_upstream_opens_total{kind="stream",upstream="app"}`: 1,
		} {
			if got, there := after[name]; !there || got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		for name := range after {
			if strings.Contains(name, `"/b"`) {
				t.Errorf("%s still exists", name)
			}
		}
		if hash(before) == hash(after) {
			t.Errorf("both configurations are %s", hash(after))
		}

		loaded := after["ssebridge_config_loaded_timestamp_seconds"]
		if err := w.reload("routes: [{path: /a, rpc: " + watch + ", upstream: app, share: true}, {path: /a, rpc: " + watch + ", upstream: app, share: true}]"); err == nil {
			t.Error("a bad configuration was applied")
		}
		w.Bridge.ReloadFailed(errors.New("the file is gone"))
		failed := scrape(t, w.Bridge)
		for name, want := range map[string]float64{
			`ssebridge_config_reloads_total{result="failed"}`: 2,
			`ssebridge_config_last_reload_successful`:         0,
			`ssebridge_config_loaded_timestamp_seconds`:       loaded,
			hash(after): 1,
		} {
			if got := failed[name]; got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if reloads := w.Bridge.Reloads(); reloads.Err == nil || reloads.Err.Error() != "the file is gone" {
			t.Errorf("Reloads has %v", reloads.Err)
		}
	})
}

// The page is public, and a line may have a secret.
func TestReadyzShowsNoLineOfAFileThatCannotBeRead(t *testing.T) {
	inWorld(t, feedRoute(""), func(t *testing.T, w *world) {
		_, err := config.Parse("test.yaml", []byte("upstreams: {app: {metadata: {authorization: hunter2}, tarhet: x}}"), func(string) (string, bool) { return "", false })
		if err == nil || !strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("the operator is not shown the line: %v", err)
		}
		w.Bridge.ReloadFailed(fmt.Errorf("the configuration is not valid:\n%w", err))
		answer := httptest.NewRecorder()
		w.Bridge.Admin().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if text := answer.Body.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "tarhet") || !strings.Contains(text, "1 failed") {
			t.Errorf("/readyz shows\n%s", text)
		}
	})
}

// It is the same with another password, and differs with another route.
func TestTheHashOfTheConfigurationDoesNotDependOnSecrets(t *testing.T) {
	hash := func(metadata, path string) (found string) {
		b, err := bridge.New(parse(t, "upstreams: {app: {target: 'localhost:1', metadata: "+metadata+"}}\nroutes: [{path: "+path+", rpc: "+watch+", upstream: app, share: true}]"),
			bridge.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}()
		for name := range scrape(t, b) {
			if strings.HasPrefix(name, "ssebridge_config_info") {
				found = name
			}
		}
		return found
	}
	one := hash("{authorization: secret}", "/a")
	if other := hash("{authorization: other}", "/a"); other != one {
		t.Errorf("%s and %s differ by the password", one, other)
	}
	if other := hash("{authorization: secret}", "/b"); other == one {
		t.Errorf("both routes have %s", one)
	}
	if !regexp.MustCompile(`\{hash="[0-9a-f]{12}"\}$`).MatchString(one) {
		t.Errorf("no hash: %s", one)
	}
}

func TestUnaryCallsAreCountedByCode(t *testing.T) {
	const get = "routes: [{path: /get, methods: [POST], rpc: ssebridge.test.v1.FeedService/Put, upstream: app}]"
	inWorld(t, get, func(t *testing.T, w *world) {
		before := scrape(t, w.Bridge)
		w.do(http.MethodPost, "/get", `{"name": "a"}`, "Content-Type", "application/json")
		want := map[string]float64{
			`messages_received_total{route="/get"}`:                      1,
			`upstream_ends_total{code="OK",kind="unary",upstream="app"}`: 1,
			`upstream_opens_total{kind="unary",upstream="app"}`:          1,
			`requests_total{route="/get",status="200"}`:                  1,
			`unary_seconds{route="/get"}`:                                1,
		}
		if diff := cmp.Diff(want, moved(before, scrape(t, w.Bridge))); diff != "" {
			t.Error(diff)
		}
	})
}

// The clients use real sockets, plain and compressed. One reads nothing.
func TestMetricsOfTheShard(t *testing.T) {
	b := backend(t)
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true, replay: {events: 100000}, write_timeout: 5m}")
	for range 3 {
		ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
	}
	drained := wire(t, g.URL, "GET /feed HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
	var draining sync.WaitGroup
	draining.Go(func() { _, _ = io.Copy(io.Discard, drained) })
	defer draining.Wait()
	defer func() { _ = drained.Close() }()
	stuck := wire(t, g.URL, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n")
	b.AwaitRunning(1)
	await(t, g.Bridge, func(all map[string]float64) bool { // a client that connects later would be sent fewer frames
		return all[`ssebridge_clients{route="/feed",transport="`+transportHere()+`"}`] == 5
	})
	for i := range 400 {
		b.Feed.Publish(&testv1.FeedEvent{Kind: strings.Repeat("x", 20<<10+i)})
	}
	await(t, g.Bridge, func(all map[string]float64) bool {
		return all[`ssebridge_frames_sent_total{route="/feed"}`] >= 4*400 &&
			all[`ssebridge_delivery_seconds{route="/feed",transport="`+transportHere()+`"}`] > 0 &&
			all[`ssebridge_sent_bytes_total{encoding="identity",route="/feed"}`] > 3*400*20<<10 &&
			all[`ssebridge_sent_bytes_total{encoding="gzip",route="/feed"}`] > 0 &&
			all[`ssebridge_clients{route="/feed",transport="`+transportHere()+`"}`] == 5 &&
			all[`ssebridge_client_lag_frames{client="slowest",route="/feed"}`] > 10 &&
			all[`ssebridge_client_lag_seconds{client="slowest",route="/feed"}`] > 0 &&
			all[`ssebridge_client_lag_frames{client="median",route="/feed"}`] == 0 &&
			all[`ssebridge_client_lag_seconds{client="median",route="/feed"}`] == 0 &&
			all[`ssebridge_upstream_connections{state="ready",upstream="app"}`] == 1 &&
			all[`ssebridge_upstream_schema_known{upstream="app"}`] == 1 &&
			all[`ssebridge_log_bytes`] > 400*20<<10
	})
	if err := stuck.Close(); err != nil {
		t.Error(err)
	}
	await(t, g.Bridge, func(all map[string]float64) bool {
		return all[`ssebridge_client_lag_frames{client="slowest",route="/feed"}`] == 0 &&
			all[`ssebridge_disconnects_total{reason="gone",route="/feed"}`] == 1
	})
}

// wire sends a request over a connection of its own, which the test may read.
func wire(t *testing.T, url, request string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn
}

// await scrapes until done accepts the metrics.
func await(t *testing.T, b *bridge.Bridge, done func(map[string]float64) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	each := time.NewTicker(10 * time.Millisecond) // leaves the processors to the bridge
	defer each.Stop()
	for ; ; <-each.C {
		all := scrape(t, b)
		if done(all) {
			return
		}
		if time.Now().After(deadline) {
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if all[name] != 0 {
					t.Log(name, all[name])
				}
			}
			t.Fatal("the metrics are not as they should be")
		}
	}
}

// transportHere is the transport of clear sockets on this system.
func transportHere() string {
	if runtime.GOOS == "linux" {
		return "shard"
	}
	return "http"
}

// No connection is ready, and the route's clients are asked to reconnect later.
func TestMetricsOfALostUpstream(t *testing.T) {
	b := backend(t, backendtest.WithMaxConcurrentStreams(10))
	g := start(t, b.Target(), "  - {path: /feed, rpc: "+watch+", upstream: app, share: true}")
	ssetest.Connect(t, g.URL+"/feed", ssetest.Options{}).AwaitEvents(1)
	b.AwaitRunning(1)
	b.Stop()
	await(t, g.Bridge, func(all map[string]float64) bool {
		return all[`ssebridge_upstream_connections{state="ready",upstream="app"}`] == 0 &&
			all[`ssebridge_upstream_connections{state="connecting",upstream="app"}`] == 1 &&
			all[`ssebridge_upstream_opening{upstream="app"}`] == 1 &&
			all[`ssebridge_topics{role="main",route="/feed",state="opening"}`] == 1
	})
}

// A path may have a route for each method.
func TestRoutesOfOnePathShareTheirSeries(t *testing.T) {
	inWorld(t, "routes:\n  - {path: /x, rpc: "+watch+", upstream: app, share: true}\n  - {path: /x, methods: [POST], rpc: "+watch+", upstream: app, share: true}", func(t *testing.T, w *world) {
		w.listen("/x", ssetest.Options{})
		w.rpc().accept()
		w.listen("/x", ssetest.Options{Method: http.MethodPost})
		w.rpc().accept()
		time.Sleep(time.Second) // both wait for open_grace
		synctest.Wait()
		all := scrape(t, w.Bridge) // fails if two series have the same name and labels
		if got := all[`ssebridge_clients{route="/x",transport="http"}`]; got != 2 {
			t.Errorf("%v clients, want 2", got)
		}
		if got := all[`ssebridge_topics{role="main",route="/x",state="live"}`]; got != 2 {
			t.Errorf("%v topics, want 2", got)
		}
	})
}

// A renewed certificate is measured from the reload on that its files cause.
func TestTheClientCertificateOfAnUpstreamHasMetrics(t *testing.T) {
	authority := backendtest.NewAuthority(t)
	cert, key := authority.Issue(t, "client")
	cfg := parse(t, fmt.Sprintf("upstreams:\n  app: {target: '127.0.0.1:1', tls: {ca: %q, cert: %q, key: %q}}\nroutes: [{path: /feed, rpc: %s, upstream: app}]\n",
		authority.CAFile, cert, key, watch))
	b, err := bridge.New(cfg, bridge.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	left := func() time.Duration {
		until := scrape(t, b)[`ssebridge_upstream_certificate_not_after_seconds{upstream="app"}`]
		return time.Until(time.Unix(int64(until), 0)).Round(time.Hour)
	}
	if got := left(); got != 24*time.Hour {
		t.Errorf("the certificate has %v left", got)
	}
	expired, _ := authority.IssueUntil(t, "client", time.Now().Add(-2*time.Hour))
	if expired != cert {
		t.Fatal("another file")
	}
	if err := b.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	if got := left(); got != -2*time.Hour {
		t.Errorf("after the reload the certificate has %v left", got)
	}
}
