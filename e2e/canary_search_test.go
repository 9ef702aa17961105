package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// pieceBytes is the shortest piece of a secret, or of any of its forms, that counts as seen.
const pieceBytes = 12

// canaries are secrets that nobody may see, and every piece of every form of them.
type canaries struct {
	pieces map[[pieceBytes]byte]string // :: piece → whose it is, and in which form
	begins [1 << 16]bool               // whether a piece begins with these two bytes
	count  int
}

// plant makes a secret of no particular shape, and of characters that encodings change.
func (c *canaries) plant(name string) string { return c.keep(name, gibberish()+"+/"+gibberish()) }

// plantShaped makes a secret that looks like a vendor's key.
func (c *canaries) plantShaped(name string) string {
	return "sk-" + c.keep(name, gibberish()+gibberish())
}

func gibberish() string { return rand.Text()[:14] }

// keep takes a secret as it is.
func (c *canaries) keep(name, secret string) string {
	if c.pieces == nil {
		c.pieces = map[[pieceBytes]byte]string{}
	}
	c.count++
	for form, text := range forms(secret) {
		for i := 0; i+pieceBytes <= len(text); i++ {
			piece := [pieceBytes]byte([]byte(text[i:]))
			if _, known := c.pieces[piece]; !known {
				c.pieces[piece] = name + ", " + form
			}
			c.begins[int(piece[0])<<8|int(piece[1])] = true
		}
	}
	return secret
}

// forms are the ways in which a secret may be written down.
func forms(secret string) map[string]string {
	turned := []byte(secret)
	slices.Reverse(turned)
	quoted := fmt.Sprintf("%q", secret)
	all := map[string]string{
		"in clear": secret, "backwards": string(turned), "in hex": hex.EncodeToString([]byte(secret)), "in HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"as a query": url.QueryEscape(secret), "as a path": url.PathEscape(secret), "in JSON": quoted[1 : len(quoted)-1], "in HTML": html.EscapeString(secret),
		"by number": strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
	}
	for i := range 3 { // where the secret stands in what is encoded
		whole := append(bytes.Repeat([]byte{0}, i), secret...)
		from, to := (8*i+5)/6, 8*len(whole)/6 // the characters that hold nothing else
		all[fmt.Sprint("in base64, ", i)] = base64.StdEncoding.EncodeToString(whole)[from:to]
		all[fmt.Sprint("in base64 for URLs, ", i)] = base64.URLEncoding.EncodeToString(whole)[from:to]
	}
	return all
}

// in lists what is seen in a text.
func (c *canaries) in(text []byte) (seen []string) {
	last := ""
	for i := 0; i+pieceBytes <= len(text); i++ {
		if !c.begins[int(text[i])<<8|int(text[i+1])] {
			continue
		}
		if what, found := c.pieces[[pieceBytes]byte(text[i:])]; found && what != last {
			last = what
			seen = append(seen, fmt.Sprintf("%s: …%q", what, text[max(0, i-100):min(len(text), i+pieceBytes+20)]))
		}
	}
	return seen
}

// TestCanariesAreSeen proves that the search finds: a secret in each of its forms, and pieces of it, in the middle of something else.
func TestCanariesAreSeen(t *testing.T) {
	var c canaries
	secret := c.plant("it")
	for form, text := range forms(secret) {
		for _, piece := range []string{text, text[:pieceBytes], text[len(text)-pieceBytes:], text[3 : 3+pieceBytes]} {
			if len(c.in([]byte("{\"a\":\""+piece+"\"}"))) == 0 {
				t.Errorf("%s is not seen %s", piece, form)
			}
		}
	}
	for i := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 7+i) + secret + "yyyy"))
		if len(c.in([]byte(text))) == 0 {
			t.Errorf("not seen in %s", text)
		}
	}
	if seen := c.in([]byte(rand.Text() + gibberish() + "+/" + gibberish())); len(seen) > 0 {
		t.Errorf("seen where it is not: %s", seen)
	}
}
