package controlplane

import (
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// Trial is a first catalog for trying aimux without a key: three synthetic providers with different abilities and speeds.
func Trial() *adminv1.Catalog { return catalog.Default() }

// Memory is a catalog's store and its archive that live in the process and end with it: for a cluster that is one test. Replicas share them.
func Memory() (store.Store, store.Archive) { return store.NewMemory(), &store.MemoryArchive{} }
