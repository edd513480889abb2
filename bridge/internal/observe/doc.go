// Package observe makes requests and RPCs visible to operators: it has the request record,
// access lines, spans, counters, and the metrics that are read from the counters. It knows
// routes and upstreams only by their names.
package observe
