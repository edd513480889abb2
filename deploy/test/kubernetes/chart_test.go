package kubernetes

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"sigs.k8s.io/yaml"

	"github.com/ssebridge/ssebridge/deploy/test/internal/bridgetest"
)

// chart is the chart's folder.
func chart() string { return filepath.Join(bridgetest.Root(), "deploy/helm/ssebridge") }

// values reads values as YAML.
func values(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// every are values that set every key of the chart's, most to something else than the default.
func every(t testing.TB) map[string]any {
	t.Helper()
	return values(t, bridgetest.Read(t, "deploy/test/kubernetes/testdata/every.yaml"))
}

// withImage adds the one value that has no default to values that do not say it.
func withImage(v map[string]any) map[string]any {
	v = maps.Clone(v)
	if v == nil {
		v = map[string]any{}
	}
	if _, ok := v["image"]; !ok {
		v["image"] = map[string]any{"repository": "registry.example.com/ssebridge"}
	}
	return v
}

// render is `helm template`: the manifests together, and the notes.
func render(t testing.TB, v map[string]any) (manifests, notes string, err error) {
	t.Helper()
	c, err := loader.Load(chart())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	v, err = util.ToRenderValues(c, v, common.ReleaseOptions{Name: "test", Namespace: "events", Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return "", "", err
	}
	files, err := engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, v)
	if err != nil {
		return "", "", err
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			notes = files[name]
			continue
		}
		all.WriteString("---\n" + files[name] + "\n")
	}
	return all.String(), notes, nil
}

func rendered(t testing.TB, v map[string]any) (objects, string) {
	t.Helper()
	manifests, notes, err := render(t, v)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, manifests), notes
}

// Linting says nothing at all, with the default values and with every other.
func TestChartLints(t *testing.T) {
	for name, v := range map[string]map[string]any{"default": withImage(nil), "every": every(t)} {
		for _, message := range lint.RunAll(chart(), v, "events").Messages {
			if message.Severity > support.UnknownSev {
				t.Errorf("%s values: %s", name, message)
			}
		}
	}
}

func TestChartWithDefaultValues(t *testing.T) {
	found, notes := rendered(t, withImage(nil))
	found.checkPod(t, "test-ssebridge")
	found.checkService(t, "test-ssebridge")
	if len(found.scalers)+len(found.ingresses)+len(found.policies)+len(found.monitors)+len(found.rules) > 0 || len(found.services) != 1 {
		t.Error("the default values make something besides")
	}
	if !strings.Contains(notes, "http://test-ssebridge.events:80") || !strings.Contains(notes, "/health") {
		t.Errorf("the notes: %s", notes)
	}
}

func TestChartWithEveryValue(t *testing.T) {
	v := every(t)
	for key := range values(t, bridgetest.Read(t, "deploy/helm/ssebridge/values.yaml")) {
		if _, ok := v[key]; !ok {
			t.Errorf("testdata/every.yaml does not set %s", key)
		}
	}
	found, _ := rendered(t, v)
	image := "mirror/ssebridge@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	if pod := found.deployments["events"].Spec.Template; pod.Spec.Containers[0].Image != image || pod.Labels["app.kubernetes.io/version"] != "0123456789ab" {
		t.Errorf("pinned by a digest, the image is %s and the version %s", pod.Spec.Containers[0].Image, pod.Labels["app.kubernetes.io/version"])
	}
	found.checkPod(t, "events")
	found.checkService(t, "events")
	pod := found.deployments["events"].Spec.Template.Spec
	if *pod.TerminationGracePeriodSeconds != 2+8+10 {
		t.Errorf("grace period %d", *pod.TerminationGracePeriodSeconds)
	}
	if pod.ServiceAccountName != "listener" || found.accounts["listener"] == nil {
		t.Error("the pods do not run as the account that was made")
	}
	if found.deployments["events"].Spec.Replicas != nil {
		t.Error("the Deployment has replicas of its own, which an upgrade would set against the autoscaler")
	}
	// By what a pod uses: a share of the small request would scale an idle bridge.
	if s := found.scalers["events"]; s == nil || s.Spec.ScaleTargetRef.Name != "events" || len(s.Spec.Metrics) != 2 ||
		s.Spec.Metrics[0].Resource.Target.Type != autoscalingv2.AverageValueMetricType || s.Spec.Metrics[0].Resource.Target.AverageValue.IsZero() {
		t.Errorf("the autoscaler is %+v", s)
	}
	if p := found.policies["events"]; p == nil || len(p.Spec.Ingress) != 2 || !includes(found.deployments["events"].Spec.Template.Labels, p.Spec.PodSelector.MatchLabels) ||
		p.Spec.Ingress[0].Ports[0].Port.StrVal != "http" || len(p.Spec.Ingress[0].From) != 1 || p.Spec.Ingress[1].Ports[0].Port.StrVal != "admin" {
		t.Errorf("the network policy is %+v", p)
	}
	if i := found.ingresses["events"]; i == nil || i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name != "events" {
		t.Errorf("the ingress is %+v", i)
	}
	checkMonitor(t, found)
	checkRules(t, found.rules["events"], "bridges")
	if got := found.rules["events"].Labels["release"]; got != "prometheus" {
		t.Errorf("the PrometheusRule's label is %q", got)
	}
}

// checkRules checks that an alert is the same wherever it comes from, but for the scrape's job.
func checkRules(t testing.TB, rule *monitoringv1.PrometheusRule, job string) {
	t.Helper()
	if rule == nil {
		t.Fatal("there is no PrometheusRule")
	}
	text := bridgetest.Read(t, "deploy/prometheus/rules.yaml")
	if bridgetest.Read(t, "deploy/helm/ssebridge/rules.yaml") != text {
		t.Error("the chart's rules.yaml is not deploy/prometheus's: run make generate and commit it")
	}
	var want monitoringv1.PrometheusRuleSpec
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, `job="ssebridge"`, `job="`+job+`"`)), &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Groups) != 1 || len(want.Groups[0].Rules) < 20 || !reflect.DeepEqual(rule.Spec, want) {
		t.Errorf("got %+v\nwant %+v", rule.Spec, want)
	}
}

// The job of a ServiceMonitor's scrape is the name of its Service.
func TestChartAlertsKnowTheJob(t *testing.T) {
	found, _ := rendered(t, withImage(values(t, "{serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}")))
	if found.services["test-ssebridge-metrics"] == nil || found.monitors["test-ssebridge"].Spec.JobLabel != "" {
		t.Error("the job is called otherwise")
	}
	checkRules(t, found.rules["test-ssebridge"], "test-ssebridge-metrics")
}

// checkMonitor follows the way from the ServiceMonitor to the pods.
func checkMonitor(t testing.TB, found objects) {
	t.Helper()
	monitor, service := found.monitors["events"], found.services["events-metrics"]
	if monitor == nil || service == nil {
		t.Fatal("there is no ServiceMonitor, or none of what it looks at")
	}
	if !includes(service.Labels, monitor.Spec.Selector.MatchLabels) || includes(found.services["events"].Labels, monitor.Spec.Selector.MatchLabels) {
		t.Errorf("the ServiceMonitor's selector %v: want the metrics' Service alone", monitor.Spec.Selector.MatchLabels)
	}
	if e := monitor.Spec.Endpoints; len(e) != 1 || e[0].Port != service.Spec.Ports[0].Name || e[0].Path != "/metrics" {
		t.Errorf("the ServiceMonitor's endpoints are %+v", e)
	}
	if !includes(found.deployments["events"].Spec.Template.Labels, service.Spec.Selector) {
		t.Errorf("the metrics' Service finds nothing by %v", service.Spec.Selector)
	}
}

// No registry has the image, so the chart asks for its name at once, and no pod waits for an image in vain.
func TestChartAsksForTheImage(t *testing.T) {
	if _, _, err := render(t, nil); err == nil || !strings.Contains(err.Error(), "image.repository is required") {
		t.Errorf("got %v", err)
	}
}

// Behind TLS the Service says https, which ingress controllers go by.
func TestChartServiceSaysItsProtocol(t *testing.T) {
	for config, want := range map[string]string{"{}": "http", "{tls: {cert: /etc/tls/tls.crt, key: /etc/tls/tls.key}}": "https"} {
		found, _ := rendered(t, withImage(values(t, "config: "+config)))
		if got := found.services["test-ssebridge"].Spec.Ports[0].AppProtocol; got == nil || *got != want {
			t.Errorf("%s: the protocol is %v, want %s", config, got, want)
		}
	}
}

// A change of what is loaded without a restart restarts nothing; one of a listener does.
func TestChartRestartsForListenersAlone(t *testing.T) {
	template := func(v string) string {
		found, _ := rendered(t, withImage(values(t, v)))
		text, err := yaml.Marshal(found.deployments["test-ssebridge"].Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := template("{}")
	if after := template("config: {upstreams: {app: {target: 'dns:///other:1'}}}"); after != before {
		t.Error("another upstream would restart the pods")
	}
	if after := template("config: {admin: ':9902'}"); after == before {
		t.Error("another admin address would not restart the pods")
	}
	const secured = "config: {tls: {cert: /etc/ssebridge-tls/tls.crt, key: /etc/ssebridge-tls/%s}}"
	secure := template(fmt.Sprintf(secured, "tls.key"))
	if secure == before {
		t.Error("tls would not restart the pods")
	}
	if after := template(fmt.Sprintf(secured, "other.key")); after != secure {
		t.Error("another file of tls would restart the pods")
	}
}

// The schema refuses what would fail later, or would be ignored.
func TestChartRefuses(t *testing.T) {
	for _, v := range []string{
		"replicas: 3",                               // unknown
		"image: {version: '1'}",                     // unknown, further down
		"config: {listen: 'unix:///run/b.sock'}",    // not reached from outside
		"config: {listen: 8080}",                    //
		"config: {admin: ''}",                       // no probes
		"config: {drain: {delay: 5s}}",              // the grace period would not follow
		"config: {routes: []}",                      //
		"config: {upstreams: {app: null}}",          // none left
		"config: {routes: [{path: /a}]}",            //
		"drain: {graceSeconds: 25s}",                //
		"service: {type: Loadbalancer}",             //
		"ingress: {enabled: true}",                  // of no host
		"serviceMonitor: {interval: 30}",            //
		`prometheusRule: {job: 'a"'}`,               // is written between quotes
		"goMemLimit: 400Mi",                         // Kubernetes' unit, not Go's
		"probes: {readiness: {httpGet: {path: /}}}", // would be given twice
	} {
		if _, _, err := render(t, withImage(values(t, v))); err == nil {
			t.Errorf("taken: %s", v)
		}
	}
}

func TestChartBudgetByPodsThatMustStay(t *testing.T) {
	found, _ := rendered(t, withImage(values(t, "podDisruptionBudget: {minAvailable: 50%}")))
	budget := found.budgets["test-ssebridge"].Spec
	if budget.MaxUnavailable != nil || budget.MinAvailable == nil || budget.MinAvailable.StrVal != "50%" {
		t.Errorf("the budget is %+v", budget)
	}
}
