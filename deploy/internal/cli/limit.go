package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type limitCommands struct {
	List  limitList  `cmd:"" help:"List the limits of every scope, and how far each is used."`
	Get   limitGet   `cmd:"" help:"Show the limits of one scope as they are configured."`
	Set   limitSet   `cmd:"" help:"Change limits of a scope: name=value for single limits; name= takes one away."`
	Unset limitUnset `cmd:"" help:"Take all limits of a scope away."`
	Top   limitTop   `cmd:"" help:"Show which limits are used most."`
}

func (r *remote) limits() adminv1connect.LimitServiceClient {
	client, base := r.dial()
	return adminv1connect.NewLimitServiceClient(client, base)
}

// scoped is what the commands on one scope share.
type scoped struct {
	remote
	Scope string `arg:"" names:"scope" help:"all, key/ID, team/ID, issuer/ID/subjects, provider/ID, provider/ID/keys or provider/ID/model/MODEL."`
}

type limitList struct{ remote }

// Run lists the limits.
func (c *limitList) Run(ctx context.Context, street Street) error {
	answer, err := c.limits().ListLimits(ctx, connect.NewRequest(&adminv1.ListLimitsRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"SCOPE", "LIMITS", "IN USE"}}
	for _, entry := range answer.Msg.GetLimits() {
		var used []string
		uses := slices.SortedStableFunc(slices.Values(entry.GetUses()), func(a, b *adminv1.LimitUse) int { return cmp.Compare(full(b), full(a)) })
		for _, use := range uses[:min(len(uses), usesShown)] {
			part := fmt.Sprintf("%s %s/%s", use.GetWhat(), amount(use.GetUsed()), amount(use.GetLimit()))
			if use.GetScope() != entry.GetScope() {
				part = use.GetScope()[strings.LastIndex(use.GetScope(), "/")+1:] + ": " + part
			}
			used = append(used, part)
		}
		if more := len(uses) - len(used); more > 0 {
			used = append(used, fmt.Sprintf("and %d more", more))
		}
		rows = append(rows, []string{entry.GetScope(), inWords(entry.GetLimits()), orDash(strings.Join(used, ", "))})
	}
	return grid(street.Stdout, rows)
}

// usesShown is how many uses of a scope's limits are listed, the fullest first.
const usesShown = 8

// full is how far a limit is used, 1 being wholly.
func full(use *adminv1.LimitUse) float64 { return use.GetUsed() / max(use.GetLimit(), 1e-9) }

// inWords are limits as set takes them.
func inWords(l *adminv1.Limits) string {
	var words []string
	add := func(name, value string) { words = append(words, name+"="+value) }
	for _, whole := range []struct {
		name string
		n    uint64
	}{
		{"max_concurrent_requests", uint64(l.GetMaxConcurrentRequests())},
		{"requests_per_minute", uint64(l.GetRequestsPerMinute())},
		{"tokens_per_minute", l.GetTokensPerMinute()},
		{"input_tokens_per_minute", l.GetInputTokensPerMinute()},
		{"output_tokens_per_minute", l.GetOutputTokensPerMinute()},
	} {
		if whole.n > 0 {
			add(whole.name, strconv.FormatUint(whole.n, 10))
		}
	}
	if l.GetDollarsPerDay() > 0 {
		add("dollars_per_day", amount(l.GetDollarsPerDay()))
	}
	if l.GetDollarsPerMonth() > 0 {
		add("dollars_per_month", amount(l.GetDollarsPerMonth()))
	}
	if l.GetMode() != "" {
		add("mode", l.GetMode())
	}
	return orDash(strings.Join(words, " "))
}

// amount prints a number of things, or of dollars, without more digits than it has.
func amount(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

type limitGet struct{ scoped }

// Run shows one scope's limits; their text form is the JSON that set -f takes.
func (c *limitGet) Run(ctx context.Context, street Street) error {
	answer, err := c.limits().GetLimit(ctx, connect.NewRequest(&adminv1.GetLimitRequest{Scope: c.Scope}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	limits := answer.Msg.GetLimit().GetLimits()
	if limits == nil {
		limits = &adminv1.Limits{}
	}
	return printJSON(street.Stdout, limits)
}

type limitSet struct {
	scoped
	edits
}

// Help gives examples.
func (*limitSet) Help() string {
	return `  aimux limit set all max_concurrent_requests=200
  aimux limit set team/red dollars_per_month=500
  aimux limit set provider/zai/model/glm-5 tokens_per_minute=1000000
  aimux limit set key/ci requests_per_minute=`
}

// Run changes the limits at the revision that was read, so that nobody else's change is lost.
func (c *limitSet) Run(ctx context.Context, street Street) error {
	api := c.limits()
	current, err := api.GetLimit(ctx, connect.NewRequest(&adminv1.GetLimitRequest{Scope: c.Scope}))
	if err != nil {
		return err
	}
	wanted := current.Msg.GetLimit().GetLimits()
	if wanted == nil {
		wanted = &adminv1.Limits{}
	}
	if err := c.over(wanted, "limit", street); err != nil {
		return err
	}
	answer, err := api.SetLimit(ctx, connect.NewRequest(&adminv1.SetLimitRequest{Scope: c.Scope, Limits: wanted, Revision: current.Msg.GetRevision()}))
	if err != nil {
		return err
	}
	return tell(street.Stdout, "%s is limited to %s, revision %d\n", c.Scope, inWords(wanted), answer.Msg.GetRevision())
}

type limitUnset struct{ scoped }

// Run takes the limits away.
func (c *limitUnset) Run(ctx context.Context, street Street) error {
	answer, err := c.limits().UnsetLimit(ctx, connect.NewRequest(&adminv1.UnsetLimitRequest{Scope: c.Scope}))
	if err != nil {
		return err
	}
	return tell(street.Stdout, "%s is not limited any more, revision %d\n", c.Scope, answer.Msg.GetRevision())
}

type limitTop struct {
	remote
	Scope string `arg:"" optional:"" names:"scope" help:"What scopes begin with, as in key/."`
	N     uint32 `short:"n" help:"How many." default:"20"`
}

// Run shows the fullest limits.
func (c *limitTop) Run(ctx context.Context, street Street) error {
	answer, err := c.limits().ListUses(ctx, connect.NewRequest(&adminv1.ListUsesRequest{Scope: c.Scope, Top: c.N}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return printUses(street.Stdout, answer.Msg.GetUses())
}

func printUses(out io.Writer, uses []*adminv1.LimitUse) error {
	if len(uses) == 0 {
		return nil
	}
	rows := [][]string{{"SCOPE", "WHAT", "USED", "LIMIT", "FULL", "BEYOND", "REFUSED"}}
	for _, use := range uses {
		rows = append(rows, []string{
			use.GetScope(), use.GetWhat(), amount(use.GetUsed()), amount(use.GetLimit()), fmt.Sprintf("%.0f%%", 100*full(use)),
			strconv.FormatUint(use.GetBeyond(), 10), strconv.FormatUint(use.GetRefused(), 10),
		})
	}
	return grid(out, rows)
}
