package bridge

// Seated returns how many clients have a place.
func (b *Bridge) Seated() int { return b.shedding.seats.count() }

// BodyTimeout is how long a client may take to send the body.
const BodyTimeout = bodyTimeout

// AnswerTimeout is how long a client may take to take an answer.
const AnswerTimeout = answerTimeout
