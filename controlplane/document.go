package controlplane

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/audit"
	"github.com/aimux/aimux/shared/secret"
)

// The stored bytes are a Document whose last field is the MAC of everything before it: field 15, 32 bytes long.
const (
	macSize   = 32
	macTag    = 15<<3 | 2
	macLength = 2 + macSize
)

// errForged means that somebody else than a control plane of this cluster has written to the store, or to the bus.
var errForged = errors.New("the catalog was not written by a control plane with this cluster key")

// documents encodes and decodes what the store keeps.
type documents struct {
	key secret.Key
	// trusting takes a document without a MAC, as versions before the MAC wrote them.
	trusting bool
}

func newDocuments(cluster secret.Key, trusting bool) documents {
	return documents{key: cluster.Derive("stored catalog"), trusting: trusting}
}

// encode gives a document its MAC.
func (d documents) encode(doc *adminv1.Document) ([]byte, error) {
	doc.Mac = nil
	body, err := proto.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encoding the catalog: %w", err)
	}
	mac := d.key.MAC(string(body))
	return append(append(body, macTag, macSize), mac[:]...), nil
}

// decode reads a snapshot; one that was never saved, or was deleted by hand, is the empty catalog.
func (d documents) decode(s store.Snapshot) (*adminv1.Document, error) {
	doc := &adminv1.Document{}
	if err := proto.Unmarshal(s.Body, doc); err != nil {
		return nil, fmt.Errorf("decoding the catalog at revision %d: %w", s.Revision, err)
	}
	if len(s.Body) > 0 && !d.genuine(s.Body) && (!d.trusting || doc.GetMac() != nil) {
		return nil, fmt.Errorf("revision %d: %w", s.Revision, errForged)
	}
	if doc.GetCatalog() == nil {
		doc.Catalog = &adminv1.Catalog{}
	}
	return doc, nil
}

func (d documents) genuine(body []byte) bool {
	at := len(body) - macLength
	if at < 0 || body[at] != macTag || body[at+1] != macSize {
		return false
	}
	mac := d.key.MAC(string(body[:at]))
	return hmac.Equal(body[at+2:], mac[:])
}

// auditKept is how many writes a document holds at most that the archive does not have: then writing stops until it has caught up.
const auditKept = 64

// enter adds a write to the document's audit log. Archived is how far the archive has come.
func enter(doc, before *adminv1.Document, by admin.Author, replica string, based, archived uint64, now time.Time) error {
	entry := &adminv1.AuditEntry{AtUnixMs: now.UnixMilli(), Actor: by.Actor, Procedure: by.Procedure, Replica: replica, Based: based}
	for _, c := range catalog.Diff(before, doc) {
		entry.Changes = append(entry.GetChanges(), &adminv1.AuditChange{Path: c.Path, From: c.From, To: c.To})
	}
	kept := before.GetAudit()
	var last *adminv1.AuditEntry
	if len(kept) > 0 {
		last = kept[len(kept)-1]
	}
	for len(kept) > 0 && kept[0].GetNumber() <= archived {
		kept = kept[1:]
	}
	if len(kept) >= auditKept {
		return fmt.Errorf("%d writes have not reached the audit archive, and none may go missing: %w", len(kept), store.ErrUnavailable)
	}
	doc.Audit = slices.Concat(kept, []*adminv1.AuditEntry{audit.Next(last, entry)})
	return nil
}
