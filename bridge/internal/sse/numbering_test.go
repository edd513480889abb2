package sse

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// play counts words and returns the ids: "-" is a message without a cursor, "gap" calls Break, "repeat" calls
// Repeat, and any other word is a cursor.
func play(mode Mode, words string) string {
	n := NewNumbering(NumberingParams{Mode: mode, Epoch: "E"})
	ids := []string{string(n.AppendID(nil))}
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "-":
			n.Message(nil)
		case "gap":
			n.Break()
		case "repeat":
			n.Repeat()
			continue
		default:
			n.Message([]byte(word))
		}
		ids = append(ids, string(n.AppendID(nil)))
	}
	final := string(n.AppendFinal(nil))
	return strings.Join(ids, " ") + " " + strings.Replace(final, "~"+finalSum(string(n.AppendID(nil)))+"~end", "~end", 1)
}

// These are rules 1 to 4 of docs/resuming.md.
func TestNumberingFollowsTheResumingRules(t *testing.T) {
	for _, test := range []struct {
		name  string
		mode  Mode
		words string
		want  string
	}{
		{"positions", Positions, "- - gap -", "E-0 E-1 E-2 E-3 E-4 E-4~end"},
		{"positions ignore cursors", Positions, "c1 c2", "E-0 E-1 E-2 E-2~end"},
		{"none", None, "- c1 gap", "    ~end"},
		{"nothing yet", Positions, "", "E-0 E-0~end"},
		{"no cursor yet", Cursors, "", "~E-0 ~E-0~end"},
		{"cursors", Cursors, "c1 c2 c3", "~E-0 c1 c2 c3 c3~end"},
		{"1: counted from the last message with the cursor", Cursors, "c1 - - c2 -", "~E-0 c1 c1~1 c1~2 c2 c2~1 c2~1~end"},
		{"2: a position only if no cursor precedes", Cursors, "- - c1 -", "~E-0 ~E-1 ~E-2 c1 c1~1 c1~1~end"},
		{"3: no complete cursor after a gap until one comes", Cursors, "c1 - gap - - c2 -", "~E-0 c1 c1~1 ~E-3 ~E-4 ~E-5 c2 c2~1 c2~1~end"},
		{"4: a gap has a seq of its own", Cursors, "gap gap -", "~E-0 ~E-1 ~E-2 ~E-3 ~E-3~end"},
		{"16a: Repeat", Cursors, "c1 c2 repeat c2 - c3 c3 c4", "~E-0 c1 c2 c1~2 c1~3 c2~2 c2~3 c3~1 c3~1~end"},
		{"16a: Repeat after the first message", Cursors, "c1 repeat c1 c2", "~E-0 c1 ~E-2 c1~1 c1~1~end"},
		{"escaped", Cursors, "a~1 - ~end -", "~E-0 a%7E1 a%7E1~1 %7Eend %7Eend~1 %7Eend~1~end"},
	} {
		if got := play(test.mode, test.words); got != test.want {
			t.Errorf("%s: %s\n%s, want\n%s", test.name, test.words, got, test.want)
		}
	}
}

func TestNumberingAppends(t *testing.T) {
	n := NewNumbering(NumberingParams{Mode: Cursors, Epoch: "E"})
	cursor := []byte("c1")
	n.Message(cursor)
	copy(cursor, "XX") // the caller may reuse it
	if got := string(n.AppendID([]byte("id: "))); got != "id: c1" {
		t.Fatal(got)
	}
	if n.seq != 1 {
		t.Fatal(n.seq)
	}
}

// If the cursors of a log differ, its ids are unique and safe, and parse as what they are.
func TestIDsOfALogDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]Mode{Positions, Cursors}).Draw(t, "mode")
		log := NewEpochs().New(1)
		n := NewNumbering(NumberingParams{Mode: mode, Epoch: log})
		seen := map[string]bool{string(n.AppendID(nil)): true}
		used := map[string]bool{"": true}
		for range rapid.IntRange(1, 50).Draw(t, "frames") {
			switch cursor := rapid.StringN(0, 5, 20).Draw(t, "cursor"); rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				n.Break()
			case 1:
				n.Message(nil)
			default:
				if used[cursor] {
					continue
				}
				used[cursor] = true
				n.Message([]byte(cursor))
			}
			id := string(n.AppendID(nil))
			if seen[id] {
				t.Fatalf("the id %q is given twice", id)
			}
			seen[id] = true
			if wrong := unsafeID(id); wrong != "" {
				t.Fatalf("%q %s", id, wrong)
			}
			parsed := ParseID(mode, id)
			if parsed.Text != id || parsed.Final || parsed.Epoch != "" && (parsed.Epoch != log || parsed.Seq != n.seq) {
				t.Fatalf("%q parses as %+v", id, parsed)
			}
			if final := ParseID(mode, string(n.AppendFinal(nil))); !final.Final {
				t.Fatalf("the final id of %q parses as %+v", id, final)
			}
		}
	})
}
