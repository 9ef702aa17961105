package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type tokenCommands struct {
	Create tokenCreate `cmd:"" help:"Make a token and print it, this once."`
	List   tokenList   `cmd:"" help:"List the tokens."`
	Revoke tokenRevoke `cmd:"" help:"End a token at once."`
	Local  tokenLocal  `cmd:"" help:"Print the token of the process at --admin, if this user runs it on this machine."`
	Whoami tokenWhoami `cmd:"" help:"Say as whom the admin API is asked, and what that may do."`
}

func (r *remote) tokens() adminv1connect.TokenServiceClient {
	client, base := r.dial()
	return adminv1connect.NewTokenServiceClient(client, base)
}

type tokenCreate struct {
	remote
	ID      string        `arg:"" optional:"" help:"The token's id; default: made up."`
	Role    string        `names:"role" help:"What it may do: viewer (reads), operator (changes what serves traffic), admin (everything, tokens included)." required:"" placeholder:"ROLE"`
	Name    string        `help:"Whose it is, for people."`
	Expires time.Duration `help:"When it ends, from now, such as 720h; default: never."`
}

// Run makes a token. The token alone goes to standard output, so that it can be piped.
func (c *tokenCreate) Run(ctx context.Context, street Street) error {
	ask := &adminv1.CreateTokenRequest{Id: c.ID, Role: c.Role, Name: c.Name}
	if c.Expires < 0 {
		return fmt.Errorf("--expires %s: must not be negative", c.Expires)
	}
	if c.Expires > 0 {
		ask.ExpiresUnixMs = time.Now().Add(c.Expires).UnixMilli()
	}
	answer, err := c.tokens().CreateToken(ctx, connect.NewRequest(ask))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	_ = tell(street.Stderr, "token %s is %s, revision %d; it is shown this once:\n", answer.Msg.GetEntry().GetId(), answer.Msg.GetEntry().GetRole(), answer.Msg.GetRevision())
	_, err = fmt.Fprintln(street.Stdout, answer.Msg.GetToken())
	return err
}

type tokenList struct{ remote }

// Run lists the tokens.
func (c *tokenList) Run(ctx context.Context, street Street) error {
	answer, err := c.tokens().ListTokens(ctx, connect.NewRequest(&adminv1.ListTokensRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"ID", "ROLE", "NAME", "CREATED", "EXPIRES"}}
	for _, t := range answer.Msg.GetTokens() {
		rows = append(rows, []string{t.GetId(), t.GetRole(), orDash(t.GetName()), clock(t.GetCreatedUnixMs()), clock(t.GetExpiresUnixMs())})
	}
	return grid(street.Stdout, rows)
}

type tokenRevoke struct {
	remote
	ID string `arg:"" names:"token" help:"The token's id."`
}

// Run revokes a token.
func (c *tokenRevoke) Run(ctx context.Context, street Street) error {
	answer, err := c.tokens().RevokeToken(ctx, connect.NewRequest(&adminv1.RevokeTokenRequest{Id: c.ID}))
	if err != nil {
		return err
	}
	return tell(street.Stdout, "token %s is revoked, revision %d\n", c.ID, answer.Msg.GetRevision())
}

type tokenLocal struct{ remote }

// Run prints the local token.
func (c *tokenLocal) Run(street Street) error {
	token, err := localToken(c.base())
	if err != nil {
		return err
	}
	if token.IsZero() {
		return errors.New("no process that this user runs on this machine listens at " + c.base())
	}
	_, err = fmt.Fprintln(street.Stdout, token.Reveal())
	return err
}

type tokenWhoami struct{ remote }

// Run says who asks.
func (c *tokenWhoami) Run(ctx context.Context, street Street) error {
	answer, err := c.tokens().WhoAmI(ctx, connect.NewRequest(&adminv1.WhoAmIRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "%s is %s\n", answer.Msg.GetActor(), answer.Msg.GetRole())
}
