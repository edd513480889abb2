package site

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ssebridge/ssebridge/bridge/internal/configerr"
	"github.com/ssebridge/ssebridge/bridge/internal/topic"
)

// Awaited returns an error that names the upstreams, or only the required ones, whose schema
// has never been known. It is nil if there are none.
func (s *Site) Awaited(onlyRequired bool) error {
	var waiting []string
	for _, e := range s.Endpoints {
		required := *s.Config.Upstreams[e.Route.Upstream].Required
		if e.bound.Load() == nil && (required || !onlyRequired) {
			waiting = append(waiting, e.Route.Upstream)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	slices.Sort(waiting)
	return fmt.Errorf("the schema is not known yet of: %s", strings.Join(slices.Compact(waiting), ", "))
}

// Contradictions returns a line for each route that answers 501, with the reason.
func (s *Site) Contradictions() []string {
	var lines []string
	for i, e := range s.Endpoints {
		if bound := e.bound.Load(); bound != nil && bound.Err != nil {
			lines = append(lines, fmt.Sprintf("route %s answers 501: %v", e.Route.Path, configerr.AtRoute(i, bound.Err)))
		}
	}
	return lines
}

// Topics returns the number of topics of each path, summed over its endpoints.
func (s *Site) Topics(census map[*topic.Owner]map[topic.Kind]int) map[string]map[topic.Kind]int {
	all := map[string]map[topic.Kind]int{}
	for _, e := range s.Endpoints {
		path := e.Route.Path
		for kind, n := range census[&e.Owner] {
			if all[path] == nil {
				all[path] = map[topic.Kind]int{}
			}
			all[path][kind] += n
		}
	}
	return all
}

// Contradicting returns the paths of the endpoints that answer 501.
func (s *Site) Contradicting() map[string]bool {
	paths := map[string]bool{}
	for _, e := range s.Endpoints {
		if bound := e.bound.Load(); bound != nil && bound.Err != nil {
			paths[e.Route.Path] = true
		}
	}
	return paths
}
