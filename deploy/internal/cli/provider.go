package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type providerCommands struct {
	List   providerList   `cmd:"" help:"List the providers."`
	Get    providerGet    `cmd:"" help:"Show one provider as it is configured."`
	Set    providerSet    `cmd:"" help:"Create a provider or change one: name=value for single settings, or -f for the whole."`
	Delete providerDelete `cmd:"" help:"Delete a provider."`
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
	ID string `arg:"" help:"The provider's id."`
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
	ID       string   `arg:"" help:"The provider's id."`
	Settings []string `arg:"" optional:"" help:"Settings as name=value; name= takes one back to its default." placeholder:"name=value"`
	File     string   `short:"f" help:"A JSON file that is the whole provider; - reads standard input." placeholder:"FILE"`
}

// Run creates the provider, or changes it at the revision that was read, so that nobody else's change is lost.
func (c *providerSet) Run(ctx context.Context, street Street) error {
	if (c.File == "") == (len(c.Settings) == 0) {
		return errors.New("provider set takes either name=value settings or -f FILE")
	}
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
	if wanted, err = c.wanted(wanted, street); err != nil {
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
	_, err = fmt.Fprintf(street.Stdout, "provider %s is set, revision %d\n", c.ID, revision)
	return err
}

func (c *providerSet) wanted(current *adminv1.Provider, street Street) (*adminv1.Provider, error) {
	if c.File == "" {
		return current, apply(current, "a provider", c.Settings)
	}
	text, err := readFile(c.File, street)
	if err != nil {
		return nil, err
	}
	whole := &adminv1.Provider{}
	if err := protojson.Unmarshal(text, whole); err != nil {
		return nil, fmt.Errorf("reading provider from %q: %w", c.File, err)
	}
	return whole, nil
}

// change puts the settings over a message, or without any what the file says in protojson.
func change(onto proto.Message, what, file string, settings []string, street Street) error {
	if file == "" {
		return apply(onto, what, settings)
	}
	text, err := readFile(file, street)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, onto)
}

// readFile reads the file of that name, or standard input for -.
func readFile(name string, street Street) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(street.Stdin)
	}
	return os.ReadFile(name)
}

// apply puts name=value settings over a message. A value is JSON where the field is not text.
func apply(onto proto.Message, what string, settings []string) error {
	fields := onto.ProtoReflect().Descriptor().Fields()
	for _, setting := range settings {
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form name=value", setting)
		}
		field := fields.ByName(protoreflect.Name(name))
		if field == nil {
			return fmt.Errorf("%s has no setting %q", what, name)
		}
		onto.ProtoReflect().Clear(field)
		if value == "" {
			continue
		}
		if field.Kind() == protoreflect.StringKind && !field.IsList() {
			quoted, err := json.Marshal(value)
			if err != nil {
				return err
			}
			value = string(quoted)
		}
		one := onto.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(fmt.Appendf(nil, "{%q: %s}", name, value), one); err != nil {
			return fmt.Errorf("setting %q does not take %s", name, value)
		}
		proto.Merge(onto, one)
	}
	return nil
}

type providerDelete struct {
	remote
	ID string `arg:"" help:"The provider's id."`
}

// Run deletes the provider.
func (c *providerDelete) Run(ctx context.Context, street Street) error {
	answer, err := c.providers().DeleteProvider(ctx, connect.NewRequest(&adminv1.DeleteProviderRequest{Id: c.ID}))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(street.Stdout, "provider %s is deleted, revision %d\n", c.ID, answer.Msg.GetRevision())
	return err
}
