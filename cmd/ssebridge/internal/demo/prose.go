package demo

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The little text generator: an opening about the prompt's subject, then thoughts
// about streams in an order drawn from the prompt, so that one prompt has one answer.

// openings begin an answer; %s is the subject.
func openings() []string {
	return []string{
		"You ask about %s, and the short answer is: it depends on what happens in between.",
		"Let us think about %s the way a stream would, one piece at a time.",
		"The interesting thing about %s is rarely the beginning, and almost never the end.",
		"There are two ways to explain %s. This is the one that survives a broken cable.",
		"Everything worth saying about %s can be said in small pieces, as long as they arrive in order.",
	}
}

// thoughts fill an answer; %s is the subject.
func thoughts() []string {
	return []string{
		"A message on its own is only a fact; a message with a position is part of a story.",
		"A reader who keeps the position can leave in the middle of a sentence and come back to the very next word.",
		"Networks do not fail often, they fail at the worst moment, which is a different kind of often.",
		"If a page says that it has seen number forty-one, the kindest reply is number forty-two.",
		"Nothing is gained by starting over, except the feeling of having started.",
		"With %s it is the same: order first, then speed, and noise never.",
		"A buffer is a promise with a size, and an honest buffer tells you when the promise ran out.",
		"It is better to announce a hole than to paper over it.",
		"You can cut this answer off right here, wait a little, and lose nothing.",
		"The server kept writing while you were away; the log kept what it wrote.",
		"Twice is as wrong as never, so each piece carries its own number.",
		"A browser already knows how to come back; it only needs to be told where it was.",
		"Think of %s as a river that remembers each of its drops for a while.",
		"Small, ordered and numbered is not glamorous, but it is what makes a stream trustworthy.",
		"One connection is enough for many readers when they all ask the same question.",
		"The last word matters too: it says that nothing more will come, and that asking again is pointless.",
	}
}

// closing ends every answer, so that one sees whether the tail was lost.
const closing = "And that is all there is to say about %s."

// answer writes the whole answer to a prompt.
func answer(prompt string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(prompt)) // a hash.Hash never fails
	dice := rand.New(rand.NewPCG(hash.Sum64(), 0x55eb))

	subject := subjectOf(prompt)
	first, rest := openings(), thoughts()
	sentences := make([]string, 0, len(rest)+2)
	sentences = append(sentences, first[dice.IntN(len(first))])
	for _, i := range dice.Perm(len(rest)) {
		sentences = append(sentences, rest[i])
	}
	sentences = append(sentences, closing)
	return strings.ReplaceAll(strings.Join(sentences, " "), "%s", subject)
}

// smallWords are never the subject of a question.
const smallWords = " about again could does every explain from have please should tell that their them there these they " +
	"this what when where which while will with would your "

// subjectOf picks the word that a prompt seems to be about: its longest one, the first
// of equals. Only letters and digits are taken, and not more than 32 of them.
func subjectOf(prompt string) string {
	subject := ""
	words := strings.FieldsFuncSeq(strings.ToValidUTF8(prompt, " "), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	for word := range words {
		word = strings.ToLower(word)
		length := utf8.RuneCountInString(word)
		if length > utf8.RuneCountInString(subject) && length <= 32 && !strings.Contains(smallWords, " "+word+" ") {
			subject = word
		}
	}
	if subject == "" {
		return "this"
	}
	return subject
}

// tokensOf cuts text into at most limit pieces, as a language model would: words with
// the space before them, long words in two.
func tokensOf(text string, limit int) iter.Seq2[int32, string] {
	return func(yield func(int32, string) bool) {
		for index := int32(0); text != "" && int(index) < limit; index++ {
			piece := nextPiece(text)
			if !yield(index, piece) {
				return
			}
			text = text[len(piece):]
		}
	}
}

// nextPiece is the first token of a text that is not empty.
func nextPiece(text string) string {
	end := len(text)
	if space := strings.IndexByte(text[1:], ' '); space >= 0 {
		end = space + 1
	}
	const long = 9
	if utf8.RuneCountInString(text[:end]) <= long {
		return text[:end]
	}
	runes := 0
	for i := range text[:end] {
		if runes == long-3 {
			return text[:i]
		}
		runes++
	}
	return text[:end]
}
