package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is what a case has found.
type report struct {
	name, about string
	columns     []string
	rows        [][]string
	verdicts    []verdict
	notes       []string
	bars        []bar // for the plot
}

// verdict holds a figure against what it is to be.
type verdict struct {
	what  string
	value string
	want  string
	pass  bool
}

// bar is a contender's figure in a plot.
type bar struct {
	name  string
	value float64
}

// atMost adds a verdict: a figure that is to be at most some limit. One that is
// not positive was not found.
func (r *report) atMost(what string, value, limit float64, unit string) {
	r.verdicts = append(r.verdicts, verdict{
		what, fmt.Sprintf("%.4g%s", value, unit), fmt.Sprintf("≤ %.4g%s", limit, unit), value > 0 && value <= limit,
	})
}

// atLeast adds a verdict: a figure that is to be at least some limit.
func (r *report) atLeast(what string, value, limit float64, unit string) {
	r.verdicts = append(r.verdicts, verdict{what, fmt.Sprintf("%.4g%s", value, unit), fmt.Sprintf("≥ %.4g%s", limit, unit), value >= limit})
}

// none adds a verdict: something that must not be.
func (r *report) none(what string, count uint64) {
	r.verdicts = append(r.verdicts, verdict{what, strconv.FormatUint(count, 10), "0", count == 0})
}

// fails adds a verdict: something that is not as it is to be, in words.
func (r *report) fails(what, value, want string) {
	r.verdicts = append(r.verdicts, verdict{what, value, want, false})
}

// notef adds a sentence.
func (r *report) notef(format string, arguments ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, arguments...))
}

// row adds a row.
func (r *report) row(cells ...string) { r.rows = append(r.rows, cells) }

// String is the report for a terminal.
func (r *report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s: %s\n", r.name, r.about)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{r.columns}, r.rows...) {
		_, _ = fmt.Fprintln(table, "  "+strings.Join(row, "\t")) // to memory
	}
	for _, v := range r.verdicts {
		_, _ = fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", v.what, v.value, v.want, v.word())
	}
	_ = table.Flush() // to memory
	for _, note := range r.notes {
		fmt.Fprintf(&text, "  %s\n", note)
	}
	return text.String()
}

func (v verdict) word() string {
	if v.pass {
		return "pass"
	}
	return "FAIL"
}

// missed returns an error that names each bar that was missed.
func missed(reports []*report) error {
	var all []error
	for _, r := range reports {
		for _, v := range r.verdicts {
			if !v.pass {
				all = append(all, fmt.Errorf("%s: %s: %s, want %s", r.name, v.what, v.value, v.want))
			}
		}
	}
	return errors.Join(all...)
}
