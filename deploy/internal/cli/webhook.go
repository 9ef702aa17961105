package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type webhookCommands struct {
	Set    webhookSet    `cmd:"" help:"Make a webhook or change one: what is not said stays."`
	List   webhookList   `cmd:"" help:"List the webhooks, and how it goes for each."`
	Delete webhookDelete `cmd:"" help:"Delete a webhook."`
	Test   webhookTest   `cmd:"" help:"Send a test event, and say how it went."`
}

func (r *remote) webhooks() adminv1connect.WebhookServiceClient {
	client, base := r.dial()
	return adminv1connect.NewWebhookServiceClient(client, base)
}

type webhookSet struct {
	remote
	Name         string   `arg:"" names:"webhook" help:"The webhook's name."`
	URL          *string  `help:"The URL that is told." placeholder:"URL"`
	Secret       *string  `help:"What signs: env:NAME, file:PATH, or the secret itself." env:"AIMUX_WEBHOOK_SECRET" placeholder:"SECRET"`
	Event        []string `names:"event" help:"An event that is told: transition or alert; may be repeated. Default: all." placeholder:"EVENT"`
	AllowPrivate *bool    `help:"Let the URL be at a private address, and speak plain http there." name:"allow-private-address"`
}

// Help gives examples.
func (*webhookSet) Help() string {
	return `  aimux webhook set pager --url https://example.com/aimux --secret env:PAGER_SECRET --event alert
  aimux webhook test pager`
}

// Run sets a webhook at the revision that was read, so that nobody else's change is lost.
func (c *webhookSet) Run(ctx context.Context, street Street) error {
	api := c.webhooks()
	list, err := api.ListWebhooks(ctx, connect.NewRequest(&adminv1.ListWebhooksRequest{}))
	if err != nil {
		return err
	}
	hook := &adminv1.Webhook{}
	for _, entry := range list.Msg.GetWebhooks() {
		if entry.GetName() == c.Name {
			hook = entry.GetWebhook()
		}
	}
	if c.URL != nil {
		hook.Url = *c.URL
	}
	if c.Secret != nil {
		hook.Secret = *c.Secret
	}
	if c.Event != nil {
		hook.Events = c.Event
	}
	if c.AllowPrivate != nil {
		hook.AllowPrivateAddress = *c.AllowPrivate
	}
	answer, err := api.SetWebhook(ctx, connect.NewRequest(&adminv1.SetWebhookRequest{Name: c.Name, Webhook: hook, Revision: list.Msg.GetRevision()}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "webhook %s is set, revision %d; aimux webhook test %s tries it\n", c.Name, answer.Msg.GetRevision(), c.Name)
}

type webhookList struct{ remote }

// Run lists the webhooks.
func (c *webhookList) Run(ctx context.Context, street Street) error {
	answer, err := c.webhooks().ListWebhooks(ctx, connect.NewRequest(&adminv1.ListWebhooksRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"NAME", "URL", "EVENTS", "DELIVERED", "DROPPED", "QUEUED", "TROUBLE"}}
	for _, entry := range answer.Msg.GetWebhooks() {
		events, trouble := strings.Join(entry.GetWebhook().GetEvents(), ", "), entry.GetProblem()
		if events == "" {
			events = "all"
		}
		if trouble == "" {
			trouble = entry.GetLastError()
		}
		rows = append(rows, []string{
			entry.GetName(), entry.GetWebhook().GetUrl(), events, fmt.Sprint(entry.GetDelivered()), fmt.Sprint(entry.GetDropped()), fmt.Sprint(entry.GetQueued()), orDash(trouble),
		})
	}
	return grid(street.Stdout, rows)
}

type webhookDelete struct {
	remote
	Name string `arg:"" names:"webhook" help:"The webhook's name."`
}

// Run deletes a webhook.
func (c *webhookDelete) Run(ctx context.Context, street Street) error {
	answer, err := c.webhooks().DeleteWebhook(ctx, connect.NewRequest(&adminv1.DeleteWebhookRequest{Name: c.Name}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "webhook %s is deleted, revision %d\n", c.Name, answer.Msg.GetRevision())
}

type webhookTest struct {
	remote
	Name string `arg:"" names:"webhook" help:"The webhook's name."`
}

// Run sends a test event; one that was not delivered is a failure.
func (c *webhookTest) Run(ctx context.Context, street Street) error {
	answer, err := c.webhooks().TestWebhook(ctx, connect.NewRequest(&adminv1.TestWebhookRequest{Name: c.Name}))
	if err != nil {
		return err
	}
	switch {
	case c.Output == "json":
		if err := printJSON(street.Stdout, answer.Msg); err != nil || answer.Msg.GetError() == "" {
			return err
		}
		return exitCode(1)
	case answer.Msg.GetError() != "":
		return errors.New("not delivered: " + answer.Msg.GetError())
	}
	return tell(street.Stdout, "delivered: status %d\n", answer.Msg.GetStatus())
}
