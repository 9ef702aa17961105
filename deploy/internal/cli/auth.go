package cli

import (
	"context"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type authCommands struct {
	Get authGet `cmd:"" help:"Show who is let in besides the holders of keys: callers without one, and issuers' tokens."`
	Set authSet `cmd:"" help:"Change it: name=value for single settings, or -f for the whole."`
}

func (r *remote) auth() adminv1connect.AuthServiceClient {
	client, base := r.dial()
	return adminv1connect.NewAuthServiceClient(client, base)
}

type authGet struct{ remote }

// Run prints the settings; their text form is the JSON that set -f takes.
func (c *authGet) Run(ctx context.Context, street Street) error {
	answer, err := c.auth().GetAuth(ctx, connect.NewRequest(&adminv1.GetAuthRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	auth := answer.Msg.GetAuth()
	if auth == nil {
		auth = &adminv1.Auth{}
	}
	return printJSON(street.Stdout, auth)
}

type authSet struct {
	remote
	edits
}

// Run changes the settings at the revision that was read, so that nobody else's change is lost.
func (c *authSet) Run(ctx context.Context, street Street) error {
	api := c.auth()
	current, err := api.GetAuth(ctx, connect.NewRequest(&adminv1.GetAuthRequest{}))
	if err != nil {
		return err
	}
	wanted := current.Msg.GetAuth()
	if wanted == nil {
		wanted = &adminv1.Auth{}
	}
	if err := c.over(wanted, "auth", street); err != nil {
		return err
	}
	answer, err := api.UpdateAuth(ctx, connect.NewRequest(&adminv1.UpdateAuthRequest{Auth: wanted, Revision: current.Msg.GetRevision(), Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "auth is set, revision %d%s\n", answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}
