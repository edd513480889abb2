package demo

// The chatters' names.
const (
	mira = "Mira"
	theo = "Theo"
)

// line is one entry of the chatters' script: something said, or with an empty text
// somebody coming or going.
type line struct {
	who, text string
	leaves    bool
}

// perform makes the line happen in a room.
func (l line) perform(r *room) {
	switch {
	case l.text != "":
		r.say(l.who, l.text)
	case l.leaves:
		r.leave(l.who)
	default:
		r.join(l.who)
	}
}

// greetings begin the answer to a guest; the guest's name follows.
func greetings() []string {
	return []string{
		"Good to see you here, ",
		"That arrived in order, ",
		"Noted, and numbered, ",
		"Loud and clear, ",
	}
}

// script is what the chatters say, again and again.
func script() []line {
	return []line{
		{who: mira},
		{who: theo},
		{who: mira, text: "Morning! Is the deploy out?"},
		{who: theo, text: "Rolling right now. Half of the pods have restarted already."},
		{who: mira, text: "And nobody's page went blank?"},
		{who: theo, text: "Nope. Streams dropped, came back, carried on at the next event."},
		{who: mira, text: "I still don't trust it. What if I'm in a tunnel?"},
		{who: theo, text: "Then the log keeps your place while you're in it."},
		{who: mira, text: "And if the tunnel is very long?"},
		{who: theo, text: "Then it says so. A gap you're told about is one you can handle."},
		{who: mira, text: "Honest software. Suspicious."},
		{who: theo, text: "Go on, press the red button."},
		{who: mira, text: "You first."},
		{who: theo, text: "Fine. Brb, cutting my own cable."},
		{who: theo, leaves: true},
		{who: mira, text: "Did he actually..."},
		{who: mira, text: "Of course he did."},
		{who: theo},
		{who: theo, text: "Back. I can see what you said about me."},
		{who: mira, text: "Both lines?"},
		{who: theo, text: "Both, once each, in order."},
		{who: mira, text: "Okay, that is rather neat."},
		{who: theo, text: "How many connections do you have open?"},
		{who: mira, text: "Four. Clock, chart, chat, and that talkative text box."},
		{who: theo, text: "Same here. And the backend sees one stream each, not two."},
		{who: mira, text: "Because we asked for the same thing?"},
		{who: theo, text: "Exactly the same thing, so we share it."},
		{who: mira, text: "Sharing is caring about file descriptors."},
		{who: theo, text: "I'm putting that on a mug."},
		{who: mira, text: "Coffee?"},
		{who: theo, text: "Coffee. Leave the stream running."},
	}
}
