// Package proxy tests deploy/proxy: the real bridge and the demo's backend, behind nginx, HAProxy, Caddy
// and Apache with the files as they stand there, but for the addresses. Envoy's and Traefik's files are
// only parsed.
package proxy
