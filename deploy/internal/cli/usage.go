package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type usageCommand struct {
	remote
	By       []string `help:"What sums are kept apart by: key, team, provider, model, day, region." default:"provider,model" enum:"key,team,provider,model,day,region"`
	Since    string   `help:"The first day, of UTC." placeholder:"2026-11-01"`
	Until    string   `help:"The last day." placeholder:"2026-11-30"`
	Key      string   `names:"key" help:"Only what this key used, or this subject of an issuer, as in jwt:ada@example.com."`
	Team     string   `names:"team" help:"Only what this team used."`
	Provider string   `names:"provider" help:"Only what was used of this provider."`
	Model    string   `names:"model" help:"Only what was used of this model."`
	Region   string   `names:"region" help:"Only what was used at this region's nodes."`
	Top      uint32   `help:"Only so many, the dearest first."`
}

// Help gives examples.
func (*usageCommand) Help() string {
	return `  aimux usage
  aimux usage --by team,day --since 2026-11-01
  aimux usage --by key --top 10
  aimux usage --team red --by model -o json`
}

// Run prints what was used.
func (c *usageCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	answer, err := adminv1connect.NewLedgerServiceClient(client, base).SumUsage(ctx, connect.NewRequest(&adminv1.SumUsageRequest{
		By: c.By, Since: c.Since, Until: c.Until, Key: c.Key, Team: c.Team, Provider: c.Provider, Model: c.Model, Region: c.Region, Top: c.Top,
	}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	var heads []string
	for _, by := range c.By {
		heads = append(heads, strings.ToUpper(by))
	}
	rows := [][]string{append(heads, "REQUESTS", "FAILED", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITTEN", "COST USD")}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, one := range answer.Msg.GetSums() {
		var row []string
		for _, by := range c.By {
			row = append(row, orDash(map[string]string{
				"key": one.GetKey(), "team": one.GetTeam(), "provider": one.GetProvider(), "model": one.GetModel(), "day": one.GetDay(), "region": one.GetRegion(),
			}[by]))
		}
		rows = append(rows, append(row, number(one.GetRequests()), number(one.GetFailures()), number(one.GetInputTokens()), number(one.GetOutputTokens()),
			number(one.GetCacheReadTokens()), number(one.GetCacheWriteTokens()), fmt.Sprintf("%.6f", one.GetCostUsd())))
	}
	if err := grid(street.Stdout, rows); err != nil {
		return err
	}
	if trouble := answer.Msg.GetTrouble(); trouble != "" {
		_ = tell(street.Stderr, "the ledger may be behind: %s\n", trouble)
	}
	for _, r := range answer.Msg.GetRegions() {
		switch {
		case r.GetSilent():
			_ = tell(street.Stderr, "no node of region %s is heard: what it has used since %s is not in the sums\n", r.GetRegion(), time.UnixMilli(r.GetRecordedUnixMs()).UTC().Format(time.RFC3339))
		case r.GetBlocksWaiting() > 0:
			_ = tell(street.Stderr, "%d blocks of usage wait at the nodes of region %s and are not in the sums\n", r.GetBlocksWaiting(), r.GetRegion())
		}
	}
	if lost := answer.Msg.GetLost(); lost > 0 {
		_ = tell(street.Stderr, "%d requests could not be written down and are not in the sums\n", lost)
	}
	return nil
}
