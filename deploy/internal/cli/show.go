package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

type nodeCommands struct {
	List nodeList `cmd:"" help:"List the nodes and how far each has come."`
}

type nodeList struct{ remote }

// Run lists the nodes.
func (c *nodeList) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	answer, err := adminv1connect.NewNodeServiceClient(client, base).ListNodes(ctx, connect.NewRequest(&adminv1.ListNodesRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"NODE", "LIVE", "REGION", "ADDRESS", "REVISION", "BEHIND", "TABLE FROM", "IN FLIGHT", "TROUBLE"}}
	for _, entry := range answer.Msg.GetNodes() {
		said := entry.GetHeartbeat()
		rows = append(rows, []string{
			said.GetNode(), yesNo(entry.GetLive()), orDash(said.GetRegion()), orDash(said.GetAddress()),
			strconv.FormatUint(said.GetApplied().GetConfigRevision(), 10), strconv.FormatUint(entry.GetDrift(), 10),
			orDash(said.GetSource()), strconv.FormatUint(uint64(said.GetInFlight()), 10), orDash(nodeTrouble(entry)),
		})
	}
	return grid(street.Stdout, rows)
}

// nodeTrouble is what is wrong with a node; empty if nothing is.
func nodeTrouble(entry *adminv1.NodeEntry) string {
	said := entry.GetHeartbeat()
	nack := said.GetNack()
	switch {
	case !entry.GetLive():
		return "silent since " + time.UnixMilli(entry.GetLastHeardUnixMs()).Format("15:04:05")
	case nack != nil:
		return fmt.Sprintf("refuses revision %d: %s %s", nack.GetConfigRevision(), nack.GetPath(), nack.GetReason())
	case said.GetLimitsAlone():
		return "does not reach Redis: limits go by its own part of each"
	case entry.GetOutlier():
		return entry.GetOutlierReason()
	}
	return ""
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

type tableCommand struct{ remote }

// Run prints the table: every provider and model with what it can do and how it stands.
func (c *tableCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	answer, err := adminv1connect.NewTableServiceClient(client, base).GetTable(ctx, connect.NewRequest(&adminv1.GetTableRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	header := answer.Msg.GetHealth().GetHeader()
	_ = tell(street.Stdout, "revision %d, epoch %d, led by %s\n", answer.Msg.GetConfig().GetHeader().GetConfigRevision(), header.GetEpoch(), orDash(header.GetLeader()))
	health := byTarget(answer.Msg.GetHealth())
	rows := [][]string{{"PROVIDER", "MODEL", "PROTOCOL", "SERVES", "STATE", "WEIGHT", "CONTEXT"}}
	for _, provider := range answer.Msg.GetConfig().GetProviders() {
		for _, model := range provider.GetModels() {
			state, weight := "disabled: "+provider.GetDisabledReason(), "-"
			if provider.GetEnabled() {
				target := health[provider.GetId()+"/"+model.GetId()]
				state, weight = stateName(target.GetState()), share(target.GetWeightPpm())
			}
			rows = append(rows, []string{
				provider.GetId(), model.GetId(), provider.GetProtocol(), orDash(strings.Join(model.GetServes(), " ")), state, weight,
				strconv.FormatUint(uint64(model.GetContextWindow()), 10),
			})
		}
	}
	return grid(street.Stdout, rows)
}

// byTarget finds a target's health by "provider/model".
func byTarget(health *tablev1.Health) map[string]*tablev1.TargetHealth {
	found := map[string]*tablev1.TargetHealth{}
	for _, target := range health.GetTargets() {
		if target.GetCredential() == "" {
			found[target.GetProvider()+"/"+target.GetModel()] = target
		}
	}
	return found
}

type explainCommand struct {
	remote
	File     string `short:"f" help:"The request's body as JSON; - reads standard input." default:"-" placeholder:"FILE"`
	Protocol string `help:"The format of the body: anthropic or openai; auto looks at the body." enum:"auto,anthropic,openai" default:"auto"`
	Node     string `names:"node" help:"The node to ask; default: any."`
	Caller   string `names:"key" help:"The id of the client key that would send it; default: somebody who may use everything." placeholder:"ID"`
}

// Help gives examples.
func (*explainCommand) Help() string {
	return `  echo '{"model":"claude-sonnet-5-5","max_tokens":100,"messages":[{"role":"user","content":"Hello!"}]}' | aimux explain
  aimux explain -f request.json --caller ci
  aimux explain -f request.json --node node-2 -o json`
}

// Run explains where the request would go.
func (c *explainCommand) Run(ctx context.Context, street Street) error {
	body, err := readFile(c.File, street)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return errors.New("explain needs a request: name its file with -f, or pipe it in")
	}
	protocol := c.Protocol
	if protocol == "auto" {
		protocol = ""
	}
	client, base := c.dial()
	answer, err := adminv1connect.NewRoutingServiceClient(client, base).Explain(ctx, connect.NewRequest(&adminv1.ExplainRequest{
		Request: &tablev1.ExplainRequest{Protocol: protocol, Body: body, Caller: c.Caller}, Node: c.Node,
	}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg.GetExplanation())
	}
	return printExplanation(street.Stdout, answer.Msg.GetExplanation())
}

func printExplanation(out io.Writer, why *tablev1.Explanation) error {
	if why.GetClass() == "" {
		return tell(out, "it would be refused: %s\n", why.GetError())
	}
	list := func(names []string) string { return orDash(strings.Join(names, ", ")) }
	_ = tell(out, "model     %s\nclass     %s\ntraits    %s\nneeds     %s\n", why.GetRequestedModel(), why.GetClass(), list(why.GetTraits()), list(why.GetNeeds()))
	most := "no limit said"
	if n := why.GetMaxOutputTokens(); n > 0 {
		most = fmt.Sprintf("at most %d", n)
	}
	_ = tell(out, "tokens    about %d in, about %d out (%s)\n", why.GetPromptTokens(), why.GetExpectedOutputTokens(), most)
	_ = tell(out, "session   %s\nstrategy  %s, priority %s\ntable     revision %d, at %s\n\n", orDash(why.GetSession()), why.GetStrategy(), why.GetPriority(), why.GetTable().GetConfigRevision(), why.GetNode())
	rows := [][]string{{"PROVIDER", "MODEL", "SCORE", "COST USD", "FIRST TOKEN", "TOTAL", "STATE", "WHY"}}
	for _, one := range why.GetCandidates() {
		score, cost := "-", "-"
		if one.GetEligible() {
			score, cost = fmt.Sprintf("%.4g", one.GetScore()), fmt.Sprintf("%.6f", one.GetCostUsd())
		}
		rows = append(rows, []string{
			one.GetProvider(), one.GetModel(), score, cost, measured(one.GetExpectedFirstTokenMs(), milliseconds), measured(one.GetExpectedTotalMs(), milliseconds),
			stateName(one.GetState()), orDash(one.GetReason()),
		})
	}
	if err := grid(out, rows); err != nil {
		return err
	}
	if why.GetError() != "" {
		return tell(out, "\nit would be refused: %s\n", why.GetError())
	}
	return tell(out, "\ntried in this order: %s\n", strings.Join(why.GetChain(), " → "))
}

type healthCommand struct {
	remote
	Transitions bool `help:"Show the recent changes and their reasons too."`
}

// Run prints the health of every target.
func (c *healthCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	answer, err := adminv1connect.NewHealthServiceClient(client, base).GetHealth(ctx, connect.NewRequest(&adminv1.GetHealthRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	if err := printHealth(street.Stdout, answer.Msg.GetHealth()); err != nil || !c.Transitions {
		return err
	}
	fmt.Fprintln(street.Stdout)
	for _, change := range answer.Msg.GetHealth().GetTransitions() {
		_ = tell(street.Stdout, "%s  %s/%s  %s → %s: %s\n", clock(change.GetAtUnixMs()), change.GetProvider(), orDash(change.GetModel()),
			stateName(change.GetFrom()), stateName(change.GetTo()), change.GetReason())
	}
	return nil
}

func printHealth(out io.Writer, health *tablev1.Health) error {
	rows := [][]string{{"PROVIDER", "MODEL", "STATE", "WEIGHT", "SUCCESS", "FIRST TOKEN", "IN FLIGHT", "REASON"}}
	for _, target := range health.GetTargets() {
		model := orDash(target.GetModel())
		if target.GetCredential() != "" {
			model = "key " + target.GetCredential()
		}
		rows = append(rows, []string{
			target.GetProvider(), model, stateName(target.GetState()), share(target.GetWeightPpm()), measured(target.GetSuccessPpm(), share),
			measured(target.GetFirstTokenMs(), milliseconds), strconv.FormatUint(uint64(target.GetInFlight()), 10), orDash(target.GetReason()),
		})
	}
	return grid(out, rows)
}
