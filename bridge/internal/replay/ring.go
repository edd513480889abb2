package replay

// ring holds the frames of a log by number. It grows to what the log needs
// and is then used round and round.
type ring struct {
	slots []frame // a power of two
	floor uint64  // the number of the newest frame dropped
	count int
}

func (r *ring) len() int     { return r.count }
func (r *ring) head() uint64 { return r.floor + uint64(r.count) } //nolint:gosec // a count

// at returns the frame with a number in (floor, head].
func (r *ring) at(number uint64) *frame {
	return &r.slots[number&uint64(len(r.slots)-1)] //nolint:gosec // there are slots where there are frames
}

func (r *ring) oldest() *frame { return r.at(r.floor + 1) }

func (r *ring) push(f frame) {
	if r.count == len(r.slots) {
		r.resize(2 * len(r.slots))
	}
	r.count++
	*r.at(r.head()) = f
}

// resize moves to so many slots, a power of two that the frames fit in.
func (r *ring) resize(slots int) {
	resized := ring{slots: make([]frame, max(4, slots)), floor: r.floor, count: r.count}
	for number := r.floor + 1; number <= r.head(); number++ {
		*resized.at(number) = *r.at(number)
	}
	*r = resized
}

// shrink lets slots go that have come to be many more than there are frames.
func (r *ring) shrink() (shrunk bool) {
	slots := len(r.slots)
	for slots > 4 && slots > 4*r.count {
		slots /= 2
	}
	if slots == len(r.slots) {
		return false
	}
	r.resize(slots)
	return true
}

// drop forgets the oldest frame.
func (r *ring) drop() {
	*r.oldest() = frame{} // lets go of the segments
	r.floor++
	r.count--
}
