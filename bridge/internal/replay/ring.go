package replay

// ring holds the frames of a log by number, in a circular buffer that grows as needed.
type ring struct {
	slots []frame // a power of two
	floor uint64  // the number of the newest frame dropped
	count int
}

func (r *ring) len() int     { return r.count }
func (r *ring) head() uint64 { return r.floor + uint64(r.count) } //nolint:gosec // a count is not negative

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

// resize moves the frames to a buffer of the given size, a power of two.
func (r *ring) resize(slots int) {
	resized := ring{slots: make([]frame, max(4, slots)), floor: r.floor, count: r.count}
	for number := r.floor + 1; number <= r.head(); number++ {
		*resized.at(number) = *r.at(number)
	}
	*r = resized
}

// shrink reduces a buffer of more than four times the frames.
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

// drop removes the oldest frame.
func (r *ring) drop() {
	*r.oldest() = frame{} // frees the segments
	r.floor++
	r.count--
}
