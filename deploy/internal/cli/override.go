package cli

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

type providerOverride struct {
	remote
	ID     string        `arg:"" names:"provider" help:"The provider's id."`
	State  string        `arg:"" enum:"drain,open,closed,none" help:"drain: what runs may end, nothing new begins; open: as if it had failed; closed: as if it were well; none: as its health is."`
	For    time.Duration `help:"How long, as in 30m; default: until somebody ends it." placeholder:"DURATION"`
	Reason string        `help:"Why, for whoever asks what happened." placeholder:"TEXT"`
}

// Help gives examples.
func (*providerOverride) Help() string {
	return `  aimux provider override zai drain --for 30m --reason 'maintenance at 10'
  aimux provider override zai none`
}

// Validate is called before Run.
func (c *providerOverride) Validate() error {
	if c.For < 0 || c.State == "none" && c.For != 0 {
		return fmt.Errorf("--for %s: want a time that is to come, and for drain, open or closed", c.For)
	}
	return nil
}

// Run decides by hand how a provider stands.
func (c *providerOverride) Run(ctx context.Context, street Street) error {
	override, until := &tablev1.Override{State: c.State, Reason: c.Reason}, "until this is taken back"
	switch {
	case c.State == "none":
		override = &tablev1.Override{}
	case c.For > 0:
		ends := time.Now().Add(c.For)
		override.ExpiresUnixMs, until = ends.UnixMilli(), "until "+ends.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	client, base := c.dial()
	answer, err := adminv1connect.NewHealthServiceClient(client, base).SetOverride(ctx, connect.NewRequest(&adminv1.SetOverrideRequest{Provider: c.ID, Override: override}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	if c.State == "none" {
		return tell(street.Stdout, "%s stands as its health is (revision %d)\n", c.ID, answer.Msg.GetRevision())
	}
	return tell(street.Stdout, "%s: %s by hand %s (revision %d)\n", c.ID, c.State, until, answer.Msg.GetRevision())
}
