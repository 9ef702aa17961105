// Package audit is the chain of what was written to the catalog: every entry says who, when and what, and holds the hash of the one before.
//
// The newest hash stands in the catalog itself, so nobody can change, drop or reorder entries without changing the catalog; and whoever
// has the entries can check them alone.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// What an entry holds at most; what is over is counted or cut.
const (
	changesMax   = 100
	textBytesMax = 200
)

// Next completes an entry that knows its time, actor, procedure, replica and changes: bounded, numbered behind last and bound to it. last
// is nil for the first of all.
func Next(last, entry *adminv1.AuditEntry) *adminv1.AuditEntry {
	if over := len(entry.GetChanges()) - changesMax; over > 0 {
		entry.Changes, entry.More = entry.GetChanges()[:changesMax], uint32(over)
	}
	for _, change := range entry.GetChanges() {
		change.Path, change.From, change.To = cut(change.GetPath()), cut(change.GetFrom()), cut(change.GetTo())
	}
	entry.Actor, entry.Procedure = cut(entry.GetActor()), cut(entry.GetProcedure())
	entry.Number, entry.Previous = last.GetNumber()+1, last.GetHash()
	entry.Hash = Hash(entry)
	return entry
}

func cut(text string) string {
	if len(text) <= textBytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:textBytesMax], "") + "…"
}

// domain begins what is hashed; its number changes with what an entry is made of.
const domain = "aimux audit 1\n"

// Hash is SHA-256 over the entry's fields in their order but for the hash, each behind its length, so that it does not depend on how a
// message happens to be encoded.
func Hash(entry *adminv1.AuditEntry) []byte {
	h := sha256.New()
	h.Write([]byte(domain))
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	number(entry.GetNumber())
	number(uint64(entry.GetAtUnixMs()))
	text(entry.GetActor())
	text(entry.GetProcedure())
	text(entry.GetReplica())
	number(entry.GetBased())
	number(uint64(len(entry.GetChanges())))
	for _, change := range entry.GetChanges() {
		text(change.GetPath())
		text(change.GetFrom())
		text(change.GetTo())
	}
	number(uint64(entry.GetMore()))
	text(string(entry.GetPrevious()))
	return h.Sum(nil)
}

// Verifier checks entries as they come, oldest first. The zero value begins at whichever entry comes first, since an archive may have
// dropped older ones.
type Verifier struct{ last *adminv1.AuditEntry }

// Take checks the next entry, and says what is wrong with it or before it.
func (v *Verifier) Take(entry *adminv1.AuditEntry) error {
	number := entry.GetNumber()
	switch {
	case !bytes.Equal(entry.GetHash(), Hash(entry)):
		return fmt.Errorf("entry %d was changed: its hash does not cover it", number)
	case v.last == nil && number == 1 && len(entry.GetPrevious()) > 0, v.last == nil && number > 1 && len(entry.GetPrevious()) != sha256.Size, number == 0:
		return fmt.Errorf("entry %d does not begin or continue a chain", number)
	case v.last != nil && number != v.last.GetNumber()+1:
		return fmt.Errorf("behind entry %d comes %d: what was between them is missing", v.last.GetNumber(), number)
	case v.last != nil && !bytes.Equal(entry.GetPrevious(), v.last.GetHash()):
		return fmt.Errorf("entry %d does not follow from entry %d: one of the two was replaced", number, v.last.GetNumber())
	}
	v.last = entry
	return nil
}

// End checks that the chain ends where the catalog says that it does.
func (v *Verifier) End(number uint64, head []byte) error {
	if v.last.GetNumber() != number || !bytes.Equal(v.last.GetHash(), head) {
		return fmt.Errorf("the chain ends with entry %d, but the catalog was last written by entry %d: the newest are missing or replaced", v.last.GetNumber(), number)
	}
	return nil
}
