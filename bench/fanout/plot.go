package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// The drawing's measures, in its own units.
const (
	panelWidth = 420
	labelWidth = 130 // of a contender's name
	valueWidth = 70  // of a figure, right of its bar
	barHeight  = 16
	barGap     = 6
	headHeight = 44 // of a panel's two lines
	margin     = 16
)

// panel is a case in the drawing.
type panel struct {
	title, unit string
	bars        []bar
}

// units says what the bars of a case are.
func units() map[string]string {
	const perEvent = "µs CPU per delivered event"
	return map[string]string{
		"fanout-1k-30": perEvent, "fanout-1k-saturated": perEvent, "fanout-10k-20": "p99 latency, ms",
		"idle-10k": "KiB of memory per client", "private-1k-30": perEvent, "private-1k-saturated": perEvent,
		"private-1-saturated": perEvent,
		"gzip-1k":             "bytes per event", "latency-1": "p50 latency, µs",
	}
}

// drawing returns the reports' figures as an SVG: a panel for each case, two in a
// row, each with a bar for each contender. Shorter is better in all of them.
func drawing(reports []*report) []byte {
	var panels []panel
	for _, r := range reports {
		if len(r.bars) > 0 {
			panels = append(panels, panel{r.name, units()[r.name], r.bars})
		}
	}
	var body bytes.Buffer
	y := margin
	for i := 0; i < len(panels); i += 2 {
		height := 0
		for column, p := range panels[i:min(i+2, len(panels))] {
			p.draw(&body, margin+column*(panelWidth+margin), y)
			height = max(height, p.height())
		}
		y += height + margin
	}
	var text bytes.Buffer
	width := 2*panelWidth + 3*margin
	fmt.Fprintf(&text, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		width, y, width, y)
	fmt.Fprintf(&text, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, y)
	text.Write(body.Bytes())
	text.WriteString("</svg>\n")
	return text.Bytes()
}

func (p panel) height() int { return headHeight + len(p.bars)*(barHeight+barGap) }

// draw writes a panel whose upper left corner is at x, y.
func (p panel) draw(text *bytes.Buffer, x, y int) {
	fmt.Fprintf(text, `<text x="%d" y="%d" font-size="14" font-weight="bold" fill="#1f2328">%s</text>`+"\n", x, y+14, escaped(p.title))
	fmt.Fprintf(text, `<text x="%d" y="%d" fill="#59636e">%s, less is better</text>`+"\n", x, y+32, escaped(p.unit))
	most := 0.0
	for _, b := range p.bars {
		most = max(most, b.value)
	}
	for i, b := range p.bars {
		top := y + headHeight + i*(barHeight+barGap)
		length := ratio(b.value, most) * (panelWidth - labelWidth - valueWidth)
		fill := "#8c959f"
		if strings.HasPrefix(b.name, ours) {
			fill = "#0969da"
		}
		fmt.Fprintf(text, `<text x="%d" y="%d" text-anchor="end" fill="#1f2328">%s</text>`+"\n", x+labelWidth-6, top+12, escaped(b.name))
		fmt.Fprintf(text, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x+labelWidth, top, max(1, length), barHeight, fill)
		fmt.Fprintf(text, `<text x="%.1f" y="%d" fill="#1f2328">%s</text>`+"\n", float64(x+labelWidth)+length+6, top+12, figure(b.value))
	}
}

// figure writes a number with about three digits.
func figure(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}

// escaped returns a text as XML has it.
func escaped(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // to memory
	return out.String()
}
