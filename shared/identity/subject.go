package identity

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
)

// IssuerDefault is the id of an issuer of JWTs that was given none.
const IssuerDefault = "jwt"

// IssuerID is an issuer's id, whether or not it was given one.
func IssuerID(given string) string { return cmp.Or(given, IssuerDefault) }

// subjectMax bounds a subject's name in bytes; of a longer one, and of one that is not fit to be shown, the end is digestLength letters of a
// digest behind a mark.
const (
	subjectMax   = 128
	digestLength = 16
	digestMark   = '~'
)

// Subject names somebody for whom an issuer vouches, in limits, records and usage: ISSUER:NAME. Names that differ stay different: what cannot be
// shown as it is ends in a digest of it. No id of a client key has a colon.
func Subject(issuer, name string) string {
	shown := strings.Map(printable, name) // which knows no invalid text either
	digested := len(name) > digestLength && name[len(name)-digestLength-1] == digestMark
	if name == "" || shown != name || len(name) > subjectMax || name == others || digested {
		sum := sha256.Sum256([]byte(name))
		shown = shown[:min(len(shown), subjectMax-digestLength-1)]
		shown = strings.ToValidUTF8(shown, "") + string(digestMark) + hex.EncodeToString(sum[:])[:digestLength]
	}
	return issuer + ":" + shown
}

func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return '?'
	}
	return r
}

// others stands for the name of every subject that is not told apart; it is no subject's own.
const others = "*"

// OtherSubjects is the name under which subjects of an issuer are summed up that are too many to be told apart.
func OtherSubjects(issuer string) string { return issuer + ":" + others }

// IssuerOf finds the issuer's id in the name of a caller; ok is false where no issuer vouches.
func IssuerOf(caller string) (issuer string, ok bool) {
	issuer, _, ok = strings.Cut(caller, ":")
	return issuer, ok
}
