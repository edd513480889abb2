package deflate

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// sequence returns bytes in which no four are there twice, as far as that goes:
// a de Bruijn sequence of 16 letters, which has 65,536, again and again with
// other letters.
func sequence(size int) []byte {
	const letters, order = 16, 4
	var all []byte
	var word [letters * order]byte
	var extend func(at, period int) // Fredricksen, Kessler and Maiorana's
	extend = func(at, period int) {
		if at > order {
			if order%period == 0 {
				all = append(all, word[1:period+1]...)
			}
			return
		}
		word[at] = word[at-period]
		extend(at+1, period)
		for letter := word[at-period] + 1; letter < letters; letter++ {
			word[at] = letter
			extend(at+1, at)
		}
	}
	extend(1, 1)
	made := make([]byte, size)
	for i := range made {
		made[i] = all[i%len(all)] + byte(letters*(i/len(all)))
	}
	return made
}

// replay decodes tokens behind dict.
func replay(t testing.TB, tokens []token, dict []byte) []byte {
	t.Helper()
	out := bytes.Clone(dict)
	for _, token := range tokens {
		if !token.isMatch() {
			out = append(out, byte(token))
			continue
		}
		length, distance := int(token.length())+lengthBase, int(token.distance())+1
		if length < shortestMatch || length > longestMatch || distance > len(out) {
			t.Fatalf("%d bytes from %d back at %d", length, distance, len(out))
		}
		for range length {
			out = append(out, out[len(out)-distance])
		}
	}
	return out[len(dict):]
}

func TestTokensAreTheText(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 22))
	var f finder
	for range 500 {
		dict := sample(random, random.IntN(Window+1))
		f.begin(dict)
		for range 4 {
			plain := sample(random, random.IntN(longestPiece+1))
			if got := replay(t, f.parse(nil, plain), dict); !bytes.Equal(got, plain) {
				t.Fatalf("%d bytes behind %d", len(plain), len(dict))
			}
			dict = append(dict, plain...)
			dict = dict[max(0, len(dict)-Window):]
		}
	}
}

func TestTokens(t *testing.T) {
	const long = longestMatch
	runs := bytes.Repeat([]byte("x"), 2*long+2)
	for _, c := range []struct {
		name, dict, plain string
		want              []token
	}{
		{"nothing", "abcd", "", nil},
		{"too short for a match", "abc", "abc", []token{'a', 'b', 'c'}},
		{"from the dictionary", "-abcdef-", "abcdef", []token{match(6, 7)}},
		{"over the dictionary's end", "abcdefgh", "abcdefghabcdef", []token{match(14, 8)}},
		{"within itself", "", "xxxxxxxx", []token{'x', match(7, 1)}},
		{"the nearest", "abcdef-abcdef-", "abcdef", []token{match(6, 7)}},
		{"the longest", "abcdefgh-abcdef-", "abcdefgh", []token{match(8, 16)}},
		{"a better one behind a literal", "abcd bcdefghijk ", "abcdefghijk", []token{'a', match(10, 12)}},
		{"no digits from afar", "1234" + string(sequence(1000)), "1234", []token{'1', '2', '3', '4'}},
		{"as long as can be", "", string(runs), []token{'x', match(long, 1), match(long, 1), 'x'}},
	} {
		var f finder
		f.begin([]byte(c.dict))
		got := f.parse(nil, []byte(c.plain))
		if len(got) != len(c.want) {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %x, want %x", c.name, got, c.want)
				break
			}
		}
	}
}

// Noise is skipped over, as zlib would not; what compresses behind it is found.
func TestNoiseIsSkipped(t *testing.T) {
	noise := make([]byte, longestPiece-1000)
	random := rand.New(rand.NewPCG(25, 26))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	quotes, _ := frames(3)
	text := bytes.Join(quotes, nil)
	var f finder
	f.begin(text)
	tokens := f.parse(nil, slices.Concat(noise, text))
	if f.looked > len(noise)/2 {
		t.Errorf("%d places for %d bytes of noise", f.looked, len(noise))
	}
	if behind := len(tokens) - len(noise); behind > longestPiece/patience {
		t.Errorf("%d tokens for what was there before", behind)
	}
}

// Whatever a backend sends, a byte is looked up once and compared with tries
// places at most.
func TestHostileTextTakesLinearTime(t *testing.T) {
	random := rand.New(rand.NewPCG(23, 24))
	// Matches just short of enough, each of which the next byte has a better one than.
	steps := func(size int) (text []byte) {
		for len(text) < size {
			text = append(text, bytes.Repeat([]byte("a"), 1+random.IntN(enoughMatch-2))...)
			text = append(text, byte('b'+random.IntN(2)))
		}
		return text[:size]
	}
	for name, text := range map[string]func(size int) []byte{
		"zeros":     func(size int) []byte { return make([]byte, size) },
		"period":    func(size int) []byte { return bytes.Repeat([]byte("ab"), size/2) },
		"de Bruijn": sequence,
		"steps":     steps,
		"letters": func(size int) []byte {
			letters := make([]byte, size)
			for i := range letters {
				letters[i] = byte('a' + random.IntN(2))
			}
			return letters
		},
	} {
		looked := func(size int) int {
			var f finder
			f.begin(nil)
			for plain := text(size); len(plain) > 0; plain = plain[longestPiece:] {
				if tokens := f.parse(nil, plain[:longestPiece]); len(tokens) > longestPiece {
					t.Errorf("%s: %d tokens", name, len(tokens))
				}
			}
			return f.looked
		}
		const size = 64 << 10
		small, large := looked(size), looked(8*size)
		if small > tries*size || large > tries*8*size || large > 9*small+tries*longestPiece {
			t.Errorf("%s: %d places for %d bytes, %d for eight times as many", name, small, size, large)
		}
	}
}
