package bridge_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ssebridge/ssebridge/bridge"
	"github.com/ssebridge/ssebridge/bridge/internal/tokens/issuertest"
	testv1 "github.com/ssebridge/ssebridge/gen/ssebridge/test/v1"
)

// TestNoSecretIsWritten covers tokens in each place, good and bad: none of them, and no claim, is in a log
// at debug level, a metric or an answer.
func TestNoSecretIsWritten(t *testing.T) {
	b, issuer := backend(t), issuertest.New(t)
	b.OnWatch(func(*testv1.WatchRequest, grpc.ServerStreamingServer[testv1.FeedEvent]) error {
		return status.Error(codes.Unavailable, "away")
	})
	g := startWith(t, parse(t, "upstreams:\n  app: {target: '"+b.Target()+"', reconnect: {attempts: 1}}\ndrain: {delay: 0s, grace: 0s}\n"+
		"auth: {jwt: {issuer: '"+issuer.Name()+"', audience: ["+issuertest.Audience+"], from: [header, \"cookie:session\", \"query:token\"]}}\nroutes:\n"+
		"  - {path: /feed, rpc: "+watch+", upstream: app, auth: required, request: {metadata: [authorization, cookie], claims: {sub: topic}}}\n"+
		"  - {path: /closed, rpc: "+watch+", upstream: app, auth: {mode: required, allow: [{claim: role, equals: admin}]}}"), bridge.Options{AccessLog: bridge.AccessAll})
	const sub, role = "ada-the-secret-user", "secret-role"
	good := issuer.Token(sub, "role", role)
	secrets := []string{sub, role}
	var answers strings.Builder
	for _, token := range []string{
		good, issuertest.New(t).Token(sub), good[:len(good)-6] + "AAAAAA", "secret-nonsense", issuer.Token(sub, "exp", 1), issuer.Token(sub, "sub", []string{sub}),
	} {
		secrets = append(secrets, strings.Split(token, ".")...)
		for _, path := range []string{"/feed", "/closed"} {
			for _, headers := range [][]string{
				{"Authorization", "Bearer " + token},
				{"Cookie", "session=" + token},
				{"Authorization", "Bearer é" + token},
				{"Cookie", "session=" + good, "Authorization", "Basic é" + token},
				nil,
			} {
				url := g.URL + path
				if headers == nil {
					url += "?token=" + token
				}
				got := do(t, http.MethodGet, url, "", append(headers, "Prefer", "status")...)
				fmt.Fprintln(&answers, got.Status, got.Header, got.Body)
			}
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(g.Bridge.Collector())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var metrics bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&metrics, family); err != nil {
			t.Fatal(err)
		}
	}
	header, _, _ := strings.Cut(good, ".") // of all tokens of an issuer; the same in a valid one and in any other
	for name, text := range map[string]string{"log": g.Log.String(), "metrics": metrics.String(), "answers": answers.String()} {
		if text == "" {
			t.Errorf("there is no text: %s", name)
		}
		for _, secret := range secrets {
			if secret != header && strings.Contains(text, secret) {
				t.Errorf("%s: there is %q", name, secret)
			}
		}
	}
}
