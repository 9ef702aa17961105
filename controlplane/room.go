package controlplane

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// A table that the bus does not carry is refused when it is asked for: its nodes would never have it, and only the log would say so.

// healthBytes is what health takes of a target besides its names, while its circuit is open and says why.
const healthBytes = 192

// fits fails for a document whose tables the bus would not carry, unless the one before had larger ones: that is a way back.
func (k *keeper) fits(doc, before *adminv1.Document, revision uint64) error {
	if k.tableMax == nil {
		return nil
	}
	configMax, healthMax := k.tableMax()
	config := compile(doc, revision, k.env)
	table, health := proto.Size(config), healthSize(config)
	if table <= configMax && health <= healthMax {
		return nil
	}
	if was := compile(before, revision, k.env); table < proto.Size(was) && health <= healthSize(was) {
		return nil
	}
	what, size, most := "table", table, configMax
	if size <= most {
		what, size, most = "health", health, healthMax
	}
	return fmt.Errorf("%w: the %s that nodes get would have %d bytes, %d more than a message of NATS may: %d targets of %d providers, %d callers; ask for fewer, or raise max_payload of nats-server",
		store.ErrTooLarge, what, size, size-most, targets(config), len(config.GetProviders()), len(config.GetAuth().GetCallers()))
}

func targets(c *tablev1.Config) (n int) {
	for _, p := range c.GetProviders() {
		n += len(p.GetModels())
	}
	return n
}

// healthSize is about as much as the health of all targets takes, in bytes.
func healthSize(c *tablev1.Config) (n int) {
	for _, p := range c.GetProviders() {
		n += healthBytes + len(p.GetId())
		for _, m := range p.GetModels() {
			n += healthBytes + len(p.GetId()) + len(m.GetId())
		}
	}
	return n
}
