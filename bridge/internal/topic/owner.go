package topic

// Owner is the owner of topics. The zero Owner is ready; it must not be copied.
type Owner struct {
	retired bool // guarded by the registry's lock
	sizes   sizes
}

func (o *Owner) isRetired() bool { return o != nil && o.retired }

// Retire lets the topics of some owners go: those that linger end now, the others when their last
// client leaves. They no longer count against the limit, so that their clients find room elsewhere.
// Clients may still join; none is expected to stay.
func (r *Registry) Retire(owners ...*Owner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	retiring := make(map[*Owner]bool, len(owners))
	for _, owner := range owners {
		retiring[owner] = !owner.retired
	}
	var idle []*Topic
	for _, f := range r.families {
		if !retiring[f.owner] {
			continue
		}
		for _, t := range f.topics {
			r.count(t, -1)
			if t.reg.clients == 0 {
				idle = append(idle, t)
			}
		}
	}
	for _, owner := range owners {
		owner.retired = true
	}
	for _, t := range idle {
		r.end(t)
	}
}

// count counts a topic that comes or goes. Topics of retired owners do not count, since they go
// soon.
func (r *Registry) count(t *Topic, n int) {
	if !t.home.owner.isRetired() {
		r.topics += n
	}
}

// SetLimits changes the bounds. Idle topics beyond them end. If clients listen to more topics than
// the limit allows, none is added until there is room again.
func (r *Registry) SetLimits(limits Limits) {
	r.mu.Lock()
	r.limits = limits
	for r.idle.all.Len() > limits.Idle || r.topics > limits.Topics {
		reason := evictedIdle
		if r.topics > limits.Topics {
			reason = evictedTopics
		}
		oldest := r.idle.oldest()
		if oldest == nil {
			break
		}
		r.idle.evict(oldest, reason)
	}
	r.idle.all.Resize(limits.Idle)
	r.budget.SetLimit(limits.Bytes)
	for _, f := range r.families {
		for _, t := range f.topics {
			t.wakePump() // a log that was full may have room now
		}
	}
	r.mu.Unlock()
	r.reclaim()
}
