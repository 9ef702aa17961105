// Package spelling finds what a mistyped word was meant to be.
package spelling

import "strings"

// longest is the most letters a word has that is worth a guess: what is longer is no name.
const longest = 64

// nearest is, of n known words, the one that a word is nearest to, the first of equally near ones; empty if it is near to none. Case, - and
// _ do not count; a word that others begin or end with counts as near to them.
func nearest(word string, n int, known func(i int) string) string {
	if len(word) > longest {
		return ""
	}
	asked := letters(word)
	best, least := "", max(len(asked)/3, 1)+1
	for i := range n {
		one := known(i)
		name := letters(one)
		if d := distance(asked, name); d < least {
			best, least = one, d
		} else if best == "" && len(asked) > 1 && (strings.HasPrefix(string(name), string(asked)) || strings.HasSuffix(string(name), string(asked))) {
			best = one
		}
	}
	return best
}

// Meant is, of n known words, the one that a word was meant to be, as the end of a sentence, such as "; did you mean priority?"; empty if it is near to none.
func Meant(word string, n int, known func(i int) string) string {
	best := nearest(word, n, known)
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

var uncounted = strings.NewReplacer("_", "", "-", "")

// letters are what of a word counts.
func letters(word string) []rune {
	return []rune(strings.ToLower(uncounted.Replace(word)))
}

// distance is how many letters must be put in, left out, changed or swapped with their neighbour to make b of a.
func distance(a, b []rune) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		next[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, next[j]+1, row[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
