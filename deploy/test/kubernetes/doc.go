// Package kubernetes tests deploy/kubernetes and deploy/helm: that the API's own types take
// them, unknown keys refused, and that what the bridge counts on is there.
//
// There is no cluster in it.
package kubernetes
