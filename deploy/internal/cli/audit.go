package cli

import (
	"context"
	"io"
	"strings"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/audit"
)

type auditCommand struct {
	remote
	Verify bool   `help:"Check the whole chain, and print only what is wrong with it."`
	After  uint64 `help:"Begin behind this entry." placeholder:"NUMBER"`
}

// Run prints the audit log, oldest first, or checks it here: the admin API is not asked whether it is right.
func (c *auditCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	api := adminv1connect.NewAuditServiceClient(client, base)
	var chain audit.Verifier
	count, after := 0, c.After
	for {
		page, err := api.ListAudit(ctx, connect.NewRequest(&adminv1.ListAuditRequest{After: after}))
		if err != nil {
			return err
		}
		for _, entry := range page.Msg.GetEntries() {
			count, after = count+1, entry.GetNumber()
			if c.Verify {
				err = chain.Take(entry)
			} else {
				err = c.print(street.Stdout, entry)
			}
			if err != nil {
				return err
			}
		}
		if len(page.Msg.GetEntries()) > 0 && after < page.Msg.GetLast() {
			continue
		}
		if !c.Verify {
			return nil
		}
		if err := chain.End(page.Msg.GetLast(), page.Msg.GetHead()); err != nil {
			return err
		}
		return tell(street.Stdout, "%d entries, up to number %d: each follows from the one before, and the last is the catalog's\n", count, page.Msg.GetLast())
	}
}

func (c *auditCommand) print(out io.Writer, entry *adminv1.AuditEntry) error {
	if c.Output == "json" {
		return printJSON(out, entry)
	}
	procedure := entry.GetProcedure()
	procedure = procedure[strings.LastIndexByte(procedure, '.')+1:]
	_ = tell(out, "%d  %s  %s  %s  at %s\n", entry.GetNumber(), clock(entry.GetAtUnixMs()), entry.GetActor(), procedure, entry.GetReplica())
	for _, change := range entry.GetChanges() {
		_ = tell(out, "     %s: %s -> %s\n", change.GetPath(), orDash(change.GetFrom()), orDash(change.GetTo()))
	}
	if more := entry.GetMore(); more > 0 {
		_ = tell(out, "     and %d changes more\n", more)
	}
	return nil
}
