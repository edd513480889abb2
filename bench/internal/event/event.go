package event

import (
	"fmt"
	"strconv"
	"time"
)

// mark stands once in each event, before its stamp, and nowhere else.
const mark = '@'

// The stamp behind the mark: the Unix time in nanoseconds and the place, in
// digits, both padded with zeros.
const (
	timeDigits  = 19
	placeDigits = 10
	stampDigits = timeDigits + placeDigits
)

// Kind is every event's kind.
const Kind = "tick"

// texts are the texts of the events, taken in turn. They differ as quotes do:
// names repeat, numbers do not, so that compressing them is neither easier nor
// harder than with real ones. Made once, since a backend that has to send to a
// thousand RPCs has other things to do.
var texts = makeTexts() //nolint:gochecknoglobals // a table that is only read

func makeTexts() [256]string {
	symbols := [...]string{"ACME", "GLOB", "INIT", "UMBR", "WAYN", "STRK", "CYBR", "TYRL"}
	var made [256]string
	state := uint64(1)
	number := func(below uint64) uint64 {
		state = state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator: the same texts in each process
		return state >> 33 % below
	}
	for i := range made {
		price := 10000 + number(80000)
		made[i] = fmt.Sprintf("%s bid %d.%02d ask %d.%02d last %d.%02d volume %07d trades %05d change +%d.%02d "+
			"high %d.%02d low %d.%02d open %d.%02d vwap %d.%04d turnover %09d venue XNAS",
			symbols[i%len(symbols)], price/100, price%100, price/100+1, number(100), price/100, number(100), number(10000000), number(100000),
			number(10), number(100), price/100+5, number(100), price/100-5, number(100),
			price/100+2, number(100), price/100, number(10000), number(1000000000))
	}
	return made
}

// Text returns the text of the event at a place.
func Text(place uint64) string { return texts[place%uint64(len(texts))] }

// AppendStamp appends the mark and the stamp of an event: its cursor.
func AppendStamp(dst []byte, place uint64, sent time.Time) []byte {
	dst = append(dst, mark)
	dst = appendPadded(dst, uint64(max(0, sent.UnixNano())), timeDigits)
	return appendPadded(dst, place, placeDigits)
}

// AppendJSON appends an event as the proto3 JSON of its FeedEvent.
func AppendJSON(dst []byte, place uint64, sent time.Time) []byte {
	dst = append(dst, `{"seq":"`...)
	dst = strconv.AppendUint(dst, place, 10)
	dst = append(dst, `","cursor":"`...)
	dst = AppendStamp(dst, place, sent)
	dst = append(dst, `","kind":"`+Kind+`","note":{"text":"`...)
	dst = append(dst, Text(place)...)
	return append(dst, `"},"level":"LEVEL_INFO"}`...)
}

// epoch is as long as the one in a bridge's ids, so that all send as many bytes.
const epoch = "abcdefghijklmnopqrstuvwxyz"

// AppendFrame appends an event as the block that a bridge sends for it.
func AppendFrame(dst []byte, place uint64, sent time.Time) []byte {
	dst = append(dst, "id: "+epoch+"-"...)
	dst = strconv.AppendUint(dst, place, 10)
	dst = append(dst, "\ndata: "...)
	dst = AppendJSON(dst, place, sent)
	return append(dst, "\n\n"...)
}

// AppendChunk appends an event as a chunk of HTTP/1.1 that holds its block.
func AppendChunk(dst []byte, place uint64, sent time.Time) []byte {
	var room [512]byte
	frame := AppendFrame(room[:0], place, sent)
	dst = strconv.AppendUint(dst, uint64(len(frame)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, frame...)
	return append(dst, "\r\n"...)
}

// appendPadded appends a number with leading zeros, and its last digits only if
// it has more.
func appendPadded(dst []byte, n uint64, digits int) []byte {
	end := len(dst) + digits
	for range digits {
		dst = append(dst, '0')
	}
	for at := end - 1; at >= end-digits; at-- {
		dst[at] = byte('0' + n%10)
		n /= 10
	}
	return dst
}
