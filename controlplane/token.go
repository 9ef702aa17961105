package controlplane

import (
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/keyfile"
)

// firstID is the id of the token that a cluster's first start makes.
const firstID = "first"

// firstToken adds an admin token to a cluster's first catalog, for the person who started it. It is told when it is in force, and kept by
// nobody.
func (r *replica) firstToken(doc *adminv1.Document) (saved func()) {
	if r.deps.FirstToken == nil {
		return nil
	}
	key := admin.MintToken(firstID)
	admin.PutToken(doc, firstID, &adminv1.Token{
		Name: "made by the first start", Role: admin.Admin.String(), Hash: r.hasher.Hash(key), CreatedUnixMs: time.Now().UnixMilli(),
	})
	return func() { r.deps.FirstToken(key) }
}

// localToken makes the process's own token and files it where only whoever runs the process can read it. It ends with the process, so
// what another program that takes over the address may be shown is worth nothing.
func (r *replica) localToken() (hash []byte, unfile func(), err error) {
	token, unfile, err := keyfile.MintToken(r.cfg.Tokens, r.listener.Addr().String())
	if err != nil || token.IsZero() {
		return nil, unfile, err
	}
	return r.hasher.Hash(token), unfile, nil
}

// newArchive opens the archive of the audit log.
func (r *replica) newArchive(trouble *troubles) error {
	archive := r.deps.Archive
	if archive == nil {
		stream, err := store.NewStreamArchive(store.KVConfig{Cluster: r.cfg.Cluster, Replicas: r.cfg.CatalogReplicas}, r.deps.Bus.Conn())
		if err != nil {
			return err
		}
		archive = stream
	}
	r.archive = &archivist{archive: archive, board: r.board, log: r.deps.Log, troubles: trouble}
	return nil
}
