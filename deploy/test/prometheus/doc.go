// Package prometheus tests deploy/prometheus and deploy/grafana: promtool reads the rules and a scrape of the
// real bridge, and a real Prometheus that scrapes one with traffic answers every query and fires alerts.
package prometheus
