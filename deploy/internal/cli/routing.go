package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type routingCommands struct {
	Get  routingGet  `cmd:"" help:"Show the routing settings that differ from their defaults."`
	Set  routingSet  `cmd:"" help:"Change them: name=value for single settings, as in priority=cost hedge_share=0.1; or -f for the whole."`
	Edit routingEdit `cmd:"" help:"Change them in an editor: $VISUAL, $EDITOR or vi."`
}

func (r *remote) routing() adminv1connect.RoutingServiceClient {
	client, base := r.dial()
	return adminv1connect.NewRoutingServiceClient(client, base)
}

// settings are the routing settings, and the revision at which they were read.
func (r *remote) settings(ctx context.Context) (routing *adminv1.Routing, revision uint64, err error) {
	answer, err := r.routing().GetRouting(ctx, connect.NewRequest(&adminv1.GetRoutingRequest{}))
	if err != nil {
		return nil, 0, err
	}
	if routing = answer.Msg.GetRouting(); routing == nil {
		routing = &adminv1.Routing{}
	}
	return routing, answer.Msg.GetRevision(), nil
}

// route puts the settings in place of those that were read at the revision, so that nobody else's change is lost.
func (r *remote) route(ctx context.Context, routing *adminv1.Routing, revision uint64, street Street) error {
	answer, err := r.routing().UpdateRouting(ctx, connect.NewRequest(&adminv1.UpdateRoutingRequest{Routing: routing, Revision: revision}))
	if err != nil {
		return err
	}
	if r.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "routing is set, revision %d\n", answer.Msg.GetRevision())
}

type routingGet struct{ remote }

// Run prints the settings; their text form is the JSON that set -f takes.
func (c *routingGet) Run(ctx context.Context, street Street) error {
	routing, revision, err := c.settings(ctx)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, &adminv1.GetRoutingResponse{Revision: revision, Routing: routing})
	}
	return printJSON(street.Stdout, routing)
}

type routingSet struct {
	remote
	edits
}

// Help gives examples.
func (*routingSet) Help() string {
	return `  aimux routing set priority=cost hedge_share=0.02
  aimux routing set thinking_provider=anthropic
  aimux routing set thinking_provider=
  aimux routing get > routing.json; aimux routing set -f routing.json`
}

// Run changes the settings.
func (c *routingSet) Run(ctx context.Context, street Street) error {
	routing, revision, err := c.settings(ctx)
	if err != nil {
		return err
	}
	if err := c.over(routing, "routing", street); err != nil {
		return err
	}
	return c.route(ctx, routing, revision, street)
}

type routingEdit struct{ remote }

// Run lets the person change the settings. What is refused stays in its file.
func (c *routingEdit) Run(ctx context.Context, street Street) error {
	routing, revision, err := c.settings(ctx)
	if err != nil {
		return err
	}
	text, file, err := inEditor(ctx, routing, street)
	if err != nil || text == nil {
		return err
	}
	wanted := &adminv1.Routing{}
	if err = parse(text, wanted, "routing", file); err == nil {
		err = c.route(ctx, wanted, revision, street)
	}
	if err != nil {
		return fmt.Errorf("%s\nwhat was written is kept: aimux routing set -f %s", plain(err), file)
	}
	return os.Remove(file)
}

// inEditor returns what the person makes of the message, and the file where it stands; nil when nothing was changed.
func inEditor(ctx context.Context, message proto.Message, street Street) (text []byte, name string, err error) {
	var before bytes.Buffer
	if err := printJSON(&before, message); err != nil {
		return nil, "", err
	}
	file, err := os.CreateTemp("", "aimux-*.json")
	if err != nil {
		return nil, "", err
	}
	_, err = file.Write(before.Bytes())
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, "", err
	}
	editor := "vi"
	for _, name := range []string{"EDITOR", "VISUAL"} {
		if said := os.Getenv(name); said != "" {
			editor = said
		}
	}
	words := exec.CommandContext(ctx, "sh", "-c", editor+` "$1"`, "sh", file.Name()) //nolint:gosec // the person's own editor, with its flags
	words.Stdin, words.Stdout, words.Stderr = street.Stdin, beneath(street.Stdout), beneath(street.Stderr)
	if err := words.Run(); err != nil {
		_ = os.Remove(file.Name())
		return nil, "", fmt.Errorf("the editor %q ($VISUAL, $EDITOR): %w", editor, err)
	}
	if text, err = os.ReadFile(file.Name()); err != nil {
		return nil, "", err
	}
	if bytes.Equal(text, before.Bytes()) {
		fmt.Fprintln(street.Stdout, "nothing was changed")
		return nil, "", os.Remove(file.Name())
	}
	return text, file.Name(), nil
}
