package prometheus

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

const (
	rulesFile     = "deploy/prometheus/rules.yaml"
	dashboardFile = "deploy/grafana/ssebridge.json"
)

// promtool runs Prometheus's own checker.
func promtool(t testing.TB, input string, args ...string) {
	t.Helper()
	tool := exec.Command("promtool", args...)
	tool.Stdin = strings.NewReader(input)
	tool.Dir = filepath.Join(bridgetest.Root(), "deploy/prometheus")
	if out, err := tool.CombinedOutput(); err != nil {
		t.Errorf("%v: %v; `make deps` installs what it needs\n%s", tool, err, out)
	}
}

func TestPromtoolTakesTheRules(t *testing.T) {
	promtool(t, "", "check", "rules", "rules.yaml")
	promtool(t, "", "test", "rules", "rules_test.yaml")
}

// Each alert has a case in which it fires, and one in which it stays silent.
func TestEachAlertHasItsCases(t *testing.T) {
	var cases struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string           `json:"alertname"`
				ExpAlerts []map[string]any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal([]byte(bridgetest.Read(t, "deploy/prometheus/rules_test.yaml")), &cases); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]int{}, map[string]int{}
	for _, test := range cases.Tests {
		for _, alert := range test.AlertRuleTest {
			if len(alert.ExpAlerts) > 0 {
				fires[alert.Alertname]++
			} else {
				silent[alert.Alertname]++
			}
		}
	}
	documentation := bridgetest.Read(t, "docs/metrics.md")
	for _, rule := range alertRules(t) {
		if fires[rule.Alert] == 0 || silent[rule.Alert] == 0 {
			t.Errorf("%s has %d cases in which it fires, and %d in which it is silent", rule.Alert, fires[rule.Alert], silent[rule.Alert])
		}
		if !strings.Contains(documentation, "| `"+rule.Alert+"` |") {
			t.Errorf("docs/metrics.md does not tell of %s", rule.Alert)
		}
		if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity"] == "" {
			t.Errorf("%s does not say what it is", rule.Alert)
		}
	}
}

func TestPromtoolTakesAScrape(t *testing.T) {
	s := newStage(t)
	status, scrape, err := bridgetest.Status(t.Context(), "http://"+s.admin+"/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	promtool(t, scrape, "check", "metrics")
}

// Every query of the dashboard has an answer while the bridge is used, and so has what every alert looks at. Then
// what happens is seen: nothing at first, a gap, clients that are shed, and a backend that is gone.
func TestPrometheusOfARunningBridge(t *testing.T) {
	s := newStage(t)
	p := scraping(t, s)
	p.until(t, "a first scrape", func() bool { // which has seen everything at 0
		n, err := p.numbers(t.Context(), "ssebridge_ready")
		return err == nil && n == 2 // bridges
	})
	s.listen(t, "/clock", "")
	s.listen(t, "/rooms/one/events", "")
	s.say(t, "one")

	for _, query := range append(dashboardQueries(t), alertQueries(t)...) {
		p.until(t, "an answer to "+query, func() bool {
			n, err := p.numbers(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			return n > 0
		})
	}
	if firing := p.firing(t); len(firing) > 0 {
		t.Errorf("of a bridge that is well, %v", firing)
	}

	happens := func(alert string) {
		t.Helper()
		p.until(t, alert, func() bool { return p.firing(t)[alert] })
	}
	s.certify(t, time.Now().Add(-89*24*time.Hour), time.Now().Add(24*time.Hour))
	happens("SSEBridgeCertificateExpires")
	if p.firing(t)["SSEBridgeCertificateExpired"] {
		t.Error("the certificate is valid for a day")
	}
	s.certify(t, time.Now().Add(-90*24*time.Hour), time.Now().Add(-time.Hour))
	happens("SSEBridgeCertificateExpired")
	for range 1000 {
		if status, _, err := bridgetest.Status(t.Context(), s.url+"/released/with/a/wrong/path"); err != nil || status != http.StatusNotFound {
			t.Fatal(status, err)
		}
	}
	happens("SSEBridgeRefusals")
	s.backend.Kill(t)
	s.startBackend(t)
	happens("SSEBridgeGaps")
	p.until(t, "SSEBridgeUpstreamDown to be over", func() bool { return !p.firing(t)["SSEBridgeUpstreamDown"] })
	if p.firing(t)["SSEBridgeShedding"] {
		t.Error("no client was shed")
	}
	s.listen(t, "/rooms/two/events", "")
	s.listen(t, "/rooms/three/events", "") // there is no topic for it
	happens("SSEBridgeShedding")
	if p.firing(t)["SSEBridgeUpstreamDown"] {
		t.Error("the upstream is up")
	}
	s.backend.Kill(t)
	happens("SSEBridgeUpstreamDown")
}

// dashboardQueries are the dashboard's, with all of everything chosen.
func dashboardQueries(t testing.TB) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(bridgetest.Read(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	choices := strings.NewReplacer("$job", ".*", "$instance", ".*", "$route", ".*", "$upstream", ".*", "$__rate_interval", "5m")
	ids := map[int]bool{}
	var queries []string
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels are number %d", panel.ID)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%s asks nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			query := choices.Replace(target.Expr)
			if strings.Contains(query, "$") {
				t.Errorf("%s asks with a variable that is not set: %s", panel.Title, query)
			}
			queries = append(queries, query)
		}
	}
	return queries
}

// alertRule is one of the alert rules.
type alertRule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alertRules(t testing.TB) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alertRule `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal([]byte(bridgetest.Read(t, rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	var all []alertRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// comparison is what an alert's expression ends with.
var comparison = regexp.MustCompile(` (==|>|<) [0-9.]+$`)

// alertQueries are what the alerts look at: their expressions without the comparison.
func alertQueries(t testing.TB) []string {
	t.Helper()
	var queries []string
	for _, rule := range alertRules(t) {
		if !comparison.MatchString(rule.Expr) {
			t.Errorf("%s compares with nothing at its end: %s", rule.Alert, rule.Expr)
		}
		if strings.HasPrefix(rule.Expr, "absent(") {
			continue // has an answer only while something is missing
		}
		queries = append(queries, comparison.ReplaceAllString(rule.Expr, ""))
	}
	return queries
}
