package listen

import (
	"math"

	"github.com/ssebridge/ssebridge/bridge/config"
)

const (
	// reserved are descriptors for what there is without clients: listeners, the log, the
	// files of the configuration, the runtime's own, operators' requests.
	reserved = 128
	// passing are, for each 100 clients, the connections that come and go: whose request
	// is being read, that are asked to come back, or that wait for a next request.
	passing = 10
	// perHundred are, for each 100 clients, the connections to an upstream that has as
	// many as it needs: servers allow 100 streams or more on one.
	perHundred = 1
)

// Fit lowers limits.clients to what the process's limit on descriptors has room for. A
// number that was written and is above that is an error, a *config.Error. cfg is as it
// was written; lowered is 0 where nothing had to be.
func Fit(cfg config.Config) (fitting config.Config, lowered int, err error) {
	limit, known := descriptors()
	if !known {
		return cfg, 0, nil
	}
	room := clientsWithin(limit, cfg)
	switch wanted := cfg.WithDefaults().Limits.Clients; {
	case wanted <= room:
		return cfg, 0, nil
	case cfg.Limits.Clients != 0:
		return cfg, 0, config.Errorf("limits.clients",
			"%d clients need %d file descriptors and this process may have %d, which is room for %d clients; "+
				"raise the limit (ulimit -n, systemd's LimitNOFILE=), or write less",
			wanted, needed(wanted, cfg), limit, room)
	case room < 1:
		return cfg, 0, config.Errorf("limits.clients",
			"this process may have %d file descriptors, and one client needs %d; raise the limit (ulimit -n, systemd's LimitNOFILE=)", limit, needed(1, cfg))
	default:
		cfg.Limits.Clients = room
		return cfg, room, nil
	}
}

// Ceiling is the number up to which descriptors may go to peers of the public listener,
// in a configuration that fits; 0 where there is no limit. Those above are left to
// everything else: the admin listener, connections to upstreams, files.
func Ceiling(cfg config.Config) int {
	limit, known := descriptors()
	if !known {
		return 0
	}
	// Half of the reserve is in use before any peer connects, and lies below.
	fixed, share := costs(cfg)
	upstreams := cfg.WithDefaults().Limits.Clients * (share - 100 - passing) / 100
	return int(min(limit, math.MaxInt32)) - (fixed - reserved/2) - upstreams
}

// needed is how many descriptors so many clients need.
func needed(clients int, cfg config.Config) int {
	fixed, share := costs(cfg)
	return fixed + (clients*share+99)/100
}

// clientsWithin is how many clients so many descriptors have room for.
func clientsWithin(descriptors uint64, cfg config.Config) int {
	fixed, share := costs(cfg)
	left := int(min(descriptors, math.MaxInt32)) - fixed // no system has more
	return max(left, 0) * 100 / share
}

// costs are the descriptors that are needed in any case, and those for each 100 clients.
func costs(cfg config.Config) (fixed, share int) {
	fixed, share = reserved, 100+passing
	for _, u := range cfg.Upstreams {
		fixed += max(int(u.Connections), 1)
		if u.Connections == 0 {
			share += perHundred
		}
	}
	return fixed, share
}
