package spelling

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func of(words ...string) (int, func(int) string) {
	return len(words), func(i int) string { return words[i] }
}

func TestMeant(t *testing.T) {
	n, known := of("priority", "hedge_share", "retry_share", "max_attempts", "max_failures", "load_balancer", "url", "größe")
	for word, want := range map[string]string{
		"priorty": "priority", "Priority": "priority", "pirority": "priority", "hedgeShare": "hedge_share", "hedge-shar": "hedge_share", "hedge": "hedge_share",
		"balancer": "load_balancer", "max_atempts": "max_attempts", "failures": "max_failures", "ulr": "url", "grösse": "größe",
		"colour": "", "": "", "x": "", "-": "", strings.Repeat("priority", 100): "",
	} {
		if got := nearest(word, n, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := Meant("priorty", n, known); got != "; did you mean priority?" {
		t.Errorf("%q", got)
	}
	if got := Meant("colour", n, known); got != "" {
		t.Errorf("%q", got)
	}
}

// A word with one slip of the fingers is nearest to what it was, unless another known word is as near.
func TestOneSlip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SliceOfN(rapid.RuneFrom([]rune("abcdefghijklmnopqrstuvwxyz")), 4, 20).Draw(t, "word")
		typed := slices.Clone(word)
		i := rapid.IntRange(0, len(word)-2).Draw(t, "place")
		switch rapid.IntRange(0, 3).Draw(t, "slip") {
		case 0:
			typed = slices.Delete(typed, i, i+1)
		case 1:
			typed = slices.Insert(typed, i, 'é')
		case 2:
			typed[i] = 'é'
		default:
			typed[i], typed[i+1] = typed[i+1], typed[i]
		}
		n, known := of("unlike-everything", string(word))
		if got := nearest(string(typed), n, known); got != string(word) {
			t.Fatalf("%s: %q, want %s", string(typed), got, string(word))
		}
	})
}
