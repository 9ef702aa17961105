package analyze

import (
	"encoding/binary"
	"unicode/utf8"
)

// counts are of a text's bytes as they stand in JSON: what its length in tokens can be told from without a tokenizer.
type counts struct {
	words   int // runs of ASCII letters
	letters int
	digits  int
	marks   int // other visible ASCII
	runs    int // runs of those
	narrow  int // characters of two bytes: accents, Cyrillic, Greek, Arabic, Hebrew
	wide    int // of three: CJK, Indic, symbols
	astral  int // of four: emoji
}

// tally is what a prompt's length in tokens is told from.
type tally struct {
	counts
	bytes int // of text so far

	messages, tools, calls, images int
	pdfTokens                      int
}

const (
	exactBytes  = 2 << 10 // of a prompt's text are counted as they are
	sampleEvery = 2 << 10 // of the rest, a sample in so many bytes, a power of two, is counted for all of them
	sampleBytes = 128
)

// add counts a text. Of what makes a prompt long a fixed share is looked at: a sample around every sampleEvery-th byte.
func (t *tally) add(b []byte, unicode bool) {
	if unicode {
		t.addEscaped(b)
		return
	}
	exact := min(len(b), max(exactBytes-t.bytes, 0))
	if exact > 0 {
		t.plus(scan(b[:exact]), 1)
	}
	for at := t.nextSample(exact); at < len(b); at += sampleEvery {
		sample := b[max(exact, min(at, len(b)-sampleBytes)):]
		sample = sample[:min(len(sample), sampleBytes)]
		t.plus(scan(sample), sampleEvery/len(sample))
	}
	t.bytes += len(b)
}

// nextSample is where in the text that comes next a sample is due, at from or behind.
func (t *tally) nextSample(from int) int {
	return from + sampleEvery - 1 - (t.bytes+from)&(sampleEvery-1)
}

// plus adds what was counted in one of so many parts.
func (t *tally) plus(c counts, parts int) {
	t.words += c.words * parts
	t.letters += c.letters * parts
	t.digits += c.digits * parts
	t.marks += c.marks * parts
	t.runs += c.runs * parts
	t.narrow += c.narrow * parts
	t.wide += c.wide * parts
	t.astral += c.astral * parts
}

// lanes are eight counters of a byte each, one for each place in a word.
type lanes uint64

// sum adds the counters up.
func (l lanes) sum() int {
	const pairs = 0x00FF00FF00FF00FF
	x := uint64(l)&pairs + uint64(l)>>8&pairs
	return int(x * 0x0001000100010001 >> 48)
}

// laneBytes is how much can be counted before a lane might overflow.
const laneBytes = 255 * 8

// scan counts b.
func scan(b []byte) counts {
	var c counts
	var e edge
	for len(b) > laneBytes {
		c.scan(b[:laneBytes], &e)
		b = b[laneBytes:]
	}
	c.scan(b, &e)
	return c
}

// edge says whether the byte before was a letter or a mark.
type edge struct{ letter, mark uint64 }

// scan works on eight bytes at a time: each class is a mask of high bits.
func (c *counts) scan(b []byte, e *edge) {
	var words, letters, digits, marks, runs, narrow, wide, astral lanes
	lastLetter, lastMark := e.letter, e.mark
	for i := 0; i < len(b); i += 8 {
		var w uint64
		if i+8 <= len(b) {
			w = binary.LittleEndian.Uint64(b[i : i+8])
		} else {
			w = lastWord(b[i:])
		}
		ascii := ^w & highs
		low := w &^ highs
		folded := low | lows*0x20
		letter := (folded + lows*(0x80-'a')) &^ (folded + lows*(0x80-'{')) & ascii
		digit := (low + lows*(0x80-'0')) &^ (low + lows*(0x80-':')) & ascii
		mark := (low + lows*(0x80-'!')) & ascii &^ (letter | digit)
		letters += lanes(letter >> 7)
		words += lanes((letter &^ (letter<<8 | lastLetter)) >> 7)
		digits += lanes(digit >> 7)
		marks += lanes(mark >> 7)
		runs += lanes((mark &^ (mark<<8 | lastMark)) >> 7)
		lastLetter, lastMark = letter>>56, mark>>56
		if ascii != highs {
			// A character's first byte tells its length by its leading ones.
			two := w & (w << 1) & highs
			three := two & (w << 2)
			four := three & (w << 3)
			narrow += lanes((two &^ three) >> 7)
			wide += lanes((three &^ four) >> 7)
			astral += lanes(four >> 7)
		}
	}
	e.letter, e.mark = lastLetter, lastMark
	c.words += words.sum()
	c.letters += letters.sum()
	c.digits += digits.sum()
	c.marks += marks.sum()
	c.runs += runs.sum()
	c.narrow += narrow.sum()
	c.wide += wide.sum()
	c.astral += astral.sum()
}

// lastWord fills up what is left with spaces.
func lastWord(b []byte) uint64 {
	w := uint64(lows * ' ')
	for i, c := range b {
		w ^= uint64(c^' ') << (8 * i)
	}
	return w
}

// addEscaped counts a text with \u escapes, a chunk at a time, by what they stand for.
func (t *tally) addEscaped(b []byte) {
	var plain [512]byte
	for len(b) > 0 {
		dst := plain[:0]
		for len(b) > 0 && len(dst) < len(plain)-utf8.UTFMax {
			n := 1
			switch {
			case b[0] != '\\':
				dst = append(dst, b[0])
			case b[1] == 'u':
				dst, n = appendEscape(dst, b)
			default:
				dst, n = append(dst, b[0], b[1]), 2
			}
			b = b[n:]
		}
		t.plus(scan(dst), 1)
	}
}

// pdf adds a document of so many base64 bytes: about 1,800 tokens for each 60 KB, as a page of text and its picture have.
func (t *tally) pdf(base64Bytes int) { t.pdfTokens += 1800 + base64Bytes/45 }

const imageTokens = 1600 // of a picture as large as models take it before they shrink it

// tokens is the likely length of the prompt, and one that the true length should not exceed, in thousandths of a token for each thing
// counted. Fitted to two public vocabularies on prose in thirty languages, code and JSON: the first is within a tenth for English,
// code and JSON; the second was above both on everything but enciphered text.
func (t *tally) tokens() (likely, most int) {
	likely = 620*t.words + 125*t.letters + 600*t.digits + 20*t.marks + 620*t.runs + 650*t.narrow + 950*t.wide + 2500*t.astral
	most = 800*t.words + 250*t.letters + 1000*t.digits + 400*t.marks + 800*t.runs + 1250*t.narrow + 2400*t.wide + 4000*t.astral
	frame := 4*t.messages + 12*t.tools + 10*t.calls + imageTokens*t.images + t.pdfTokens
	return likely/1000 + frame + 4, most/1000 + frame*5/4 + 64
}
