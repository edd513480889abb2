// Package observe is what operators see of requests and RPCs: the record of each request,
// access lines, spans, counters and the metrics that are read from them. It knows routes and
// upstreams by their names.
package observe
