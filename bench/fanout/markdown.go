package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The lines between which the document is this program's.
const (
	generatedBegin = "<!-- Written by make bench, down to the line that says so. -->"
	generatedEnd   = "<!-- Here ends what make bench writes. -->"
)

// writeMarkdown replaces the generated section of a document, and writes the plot next
// to it. The text before and after the section is kept; a document without the section
// gets it at its end.
func writeMarkdown(path string, set settings, m machine, reports []*report) error {
	was, err := os.ReadFile(path) //nolint:gosec // as the command line says
	if err != nil {
		return err
	}
	plot := strings.TrimSuffix(path, filepath.Ext(path)) + ".svg"
	is, err := replaceSection(was, section(filepath.Base(plot), set, m, reports))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(plot, drawing(reports), 0o644); err != nil { //nolint:gosec // a document, for everybody
		return err
	}
	return os.WriteFile(path, is, 0o644) //nolint:gosec // a document, for everybody
}

// replaceSection puts the generated section into a document.
func replaceSection(document, section []byte) ([]byte, error) {
	before, rest, begun := bytes.Cut(document, []byte(generatedBegin+"\n"))
	_, after, ended := bytes.Cut(rest, []byte(generatedEnd+"\n"))
	switch {
	case !begun:
		before = append(bytes.TrimRight(document, "\n"), "\n\n"...)
	case !ended:
		return nil, fmt.Errorf("the generated section has no end: %s", generatedEnd)
	}
	return bytes.Join([][]byte{before, []byte(generatedBegin + "\n"), section, []byte(generatedEnd + "\n"), after}, nil), nil
}

// section returns the generated section.
func section(plot string, set settings, m machine, reports []*report) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "\n## One stream to many clients\n\n    make bench\n\n%s\n\n", m)
	fmt.Fprintf(&text, "Medians of %d rounds of %s, in which the contenders alternated; a ratio is the median of the rounds' ratios. "+
		"When saturated, %d events at most are on their way to the slowest client. The bridge receives its events from a gRPC backend and "+
		"transcodes them, with all of its features on, and its figures include that. Of the others only grpc-gateway and the bare client receive "+
		"theirs from a backend; nchan gets ready-made events by POST, and the rest make theirs up.\n\n![The figures below, drawn](%s)\n",
		set.repetitions, set.duration, set.window, plot)
	fmt.Fprint(&text, "\n| case | what the bar is for | figure | bar | |\n|---|---|---|---|---|\n")
	for _, r := range reports {
		for _, v := range r.verdicts {
			fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", r.name, v.what, v.value, v.want, v.word())
		}
	}
	for _, r := range reports {
		fmt.Fprintf(&text, "\n### %s\n\n%s.\n\n", r.name, strings.ToUpper(r.about[:1])+r.about[1:])
		tableOf(&text, r)
		for _, note := range r.notes {
			fmt.Fprintf(&text, "\n%s\n", note)
		}
	}
	text.WriteByte('\n')
	return text.Bytes()
}

// tableOf writes a report's rows.
func tableOf(text *bytes.Buffer, r *report) {
	fmt.Fprintf(text, "| %s |\n|%s\n", strings.Join(r.columns, " | "), strings.Repeat("---|", len(r.columns)))
	for _, row := range r.rows {
		fmt.Fprintf(text, "| %s |\n", strings.Join(row, " | "))
	}
}
