package cli

import (
	"context"
	"strings"

	"connectrpc.com/connect"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type providerCommands struct {
	List   providerList   `cmd:"" help:"List the providers."`
	Get    providerGet    `cmd:"" help:"Show one provider as it is configured."`
	Set    providerSet    `cmd:"" help:"Create a provider or change one: name=value for single settings, or -f for the whole."`
	Delete providerDelete `cmd:"" help:"Delete a provider."`
	// Override is about its health, which is no setting.
	Override providerOverride `cmd:"" help:"Drain, open or close a provider by hand, for a while or until that is taken back."`
}

func (r *remote) providers() adminv1connect.ProviderServiceClient {
	client, base := r.dial()
	return adminv1connect.NewProviderServiceClient(client, base)
}

type providerList struct{ remote }

// Run lists the providers.
func (c *providerList) Run(ctx context.Context, street Street) error {
	answer, err := c.providers().ListProviders(ctx, connect.NewRequest(&adminv1.ListProvidersRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"ID", "KIND", "STATE", "ENABLED", "KEYS", "BASE URL"}}
	for _, entry := range answer.Msg.GetProviders() {
		enabled := "yes"
		if !entry.GetEnabled() {
			enabled = "no: " + entry.GetDisabledReason()
		}
		rows = append(rows, []string{
			entry.GetId(), orDash(entry.GetProvider().GetKind()), stateName(entry.GetState()), enabled,
			orDash(strings.Join(entry.GetCredentials(), ",")), orDash(entry.GetProvider().GetBaseUrl()),
		})
	}
	return grid(street.Stdout, rows)
}

type providerGet struct {
	remote
	ID string `arg:"" names:"provider" help:"The provider's id."`
}

// Run prints one provider; its text form is the JSON that set -f takes.
func (c *providerGet) Run(ctx context.Context, street Street) error {
	answer, err := c.providers().GetProvider(ctx, connect.NewRequest(&adminv1.GetProviderRequest{Id: c.ID}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return printJSON(street.Stdout, answer.Msg.GetProvider().GetProvider())
}

type providerSet struct {
	remote
	ID string `arg:"" names:"provider" help:"The provider's id."`
	edits
}

// Help gives examples.
func (*providerSet) Help() string {
	return `A known kind brings URL, models, prices and quirks; a key is read where the control plane runs.

  aimux provider set cerebras kind=cerebras api_key=env:CEREBRAS_API_KEY
  aimux provider set mine kind=compatible protocol=openai base_url=https://llm.example.com/v1 api_key=file:/run/secrets/mine
  aimux provider set mine enabled=false
  aimux provider set mine max_concurrent_requests=
  aimux provider get mine > mine.json; aimux provider set mine -f mine.json`
}

// Run creates the provider, or changes it at the revision that was read, so that nobody else's change is lost.
func (c *providerSet) Run(ctx context.Context, street Street) error {
	api := c.providers()
	current, err := api.GetProvider(ctx, connect.NewRequest(&adminv1.GetProviderRequest{Id: c.ID}))
	missing := connect.CodeOf(err) == connect.CodeNotFound
	if err != nil && !missing {
		return err
	}
	wanted := &adminv1.Provider{}
	if !missing {
		wanted = current.Msg.GetProvider().GetProvider()
	}
	if err := c.over(wanted, "provider", street); err != nil {
		return err
	}
	var revision uint64
	if missing {
		created, err := api.CreateProvider(ctx, connect.NewRequest(&adminv1.CreateProviderRequest{Id: c.ID, Provider: wanted}))
		if err != nil {
			return err
		}
		revision = created.Msg.GetRevision()
	} else {
		updated, err := api.UpdateProvider(ctx, connect.NewRequest(&adminv1.UpdateProviderRequest{
			Id: c.ID, Provider: wanted, Revision: current.Msg.GetRevision(),
		}))
		if err != nil {
			return err
		}
		revision = updated.Msg.GetRevision()
	}
	return tell(street.Stdout, "provider %s is set, revision %d\n", c.ID, revision)
}

type providerDelete struct {
	remote
	ID string `arg:"" names:"provider" help:"The provider's id."`
}

// Run deletes the provider.
func (c *providerDelete) Run(ctx context.Context, street Street) error {
	answer, err := c.providers().DeleteProvider(ctx, connect.NewRequest(&adminv1.DeleteProviderRequest{Id: c.ID}))
	if err != nil {
		return err
	}
	return tell(street.Stdout, "provider %s is deleted, revision %d\n", c.ID, answer.Msg.GetRevision())
}
