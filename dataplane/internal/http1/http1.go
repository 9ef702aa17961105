// Package http1 is what both ends of HTTP/1.1 share: the words that heads are made of, and the walk through a body in chunks.
package http1

import "strings"

// IsToken reports a word as the names of methods and headers are.
func IsToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !IsLetter(c) && !IsDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsLetter reports a letter of ASCII.
func IsLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// IsDigit reports a decimal digit.
func IsDigit(c byte) bool { return c >= '0' && c <= '9' }

// HasControl reports a text that no header's value may be: it has a control character other than a tab.
func HasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
