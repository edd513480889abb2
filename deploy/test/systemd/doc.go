// Package systemd tests deploy/systemd by systemd's own tools, without running it: the units are
// what it understands, and what it makes of the service's sandbox.
package systemd
