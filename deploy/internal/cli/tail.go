package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

type tailCommand struct {
	remote
	Last     uint32        `short:"n" help:"How many of the latest to begin with, 500 at most." default:"20"`
	Follow   bool          `short:"f" help:"Go on with what comes; --no-follow ends after the latest." default:"true" negatable:""`
	Every    time.Duration `help:"How often to look, 100ms at least." default:"500ms" placeholder:"DURATION"`
	Status   []string      `names:"status" help:"Only what was answered with one of these, such as 503, or 5xx for all that begin so." placeholder:"STATUS,…"`
	Failed   bool          `help:"Only what failed."`
	Troubled bool          `help:"Only what failed, or was answered after a failure on the way."`
	Provider string        `names:"provider" help:"Only what this provider was tried for." placeholder:"ID"`
	Model    string        `names:"model" help:"Only what asked for this model or was sent to it; a trailing * stands for any ending." placeholder:"NAME"`
	Class    string        `names:"class" help:"Only requests of this class." placeholder:"CLASS"`
	Key      string        `names:"key" help:"Only requests of this client key, or of this other caller." aliases:"caller" placeholder:"ID"`
	Team     string        `names:"team" help:"Only requests of this team." placeholder:"ID"`
	Request  string        `help:"Only the request of this id, or of this trace." placeholder:"ID"`
	Slower   time.Duration `help:"Only what took at least so long." placeholder:"DURATION"`
	Text     string        `help:"Only what has this in its ids, names, reasons or the providers' words." placeholder:"TEXT"`
	Attempts bool          `short:"a" help:"Show below each request who was tried, who else could have served it, and who could not and why."`
}

// Help is shown below the flags' summary.
func (*tailCommand) Help() string {
	return `Filters are applied by the control plane, which sends nothing else. It remembers the latest 2,048 requests.

  aimux tail --status 5xx --team billing --provider zai
  aimux tail --troubled -a
  aimux tail --no-follow -n 500 -o json | jq .reason`
}

const (
	tailLeast = 100 * time.Millisecond // the least time between two looks
	tailMost  = 500                    // the most that one look brings
)

// Run prints requests as they end, until it is interrupted.
func (c *tailCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	api := adminv1connect.NewUsageServiceClient(client, base)
	ticker := time.NewTicker(max(c.Every, tailLeast))
	defer ticker.Stop()
	filter := c.filter()
	ask := &adminv1.ListRequestsRequest{Limit: min(max(c.Last, 1), tailMost), Filter: filter}
	source := ""
	headed := c.Output != "text"
	for {
		answer, err := api.ListRequests(ctx, connect.NewRequest(ask))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if source != "" && answer.Msg.GetSource() != source {
			ask, source = &adminv1.ListRequestsRequest{Filter: filter}, "" // another replica answers, which counts anew
			fmt.Fprintln(street.Stderr, "aimux: another control plane answers; some requests may be told again")
			continue
		}
		if !headed {
			_ = tell(street.Stdout, tailLine, "TIME", "REQUEST", "STATUS", "TOTAL", "FIRST", "CLASS", "MODEL", "WENT TO", "WHY", "COST USD")
			headed = true
		}
		for _, r := range answer.Msg.GetRequests() {
			if err := c.print(street.Stdout, r); err != nil {
				return err
			}
		}
		if !c.Follow {
			return nil
		}
		source = answer.Msg.GetSource()
		ask = &adminv1.ListRequestsRequest{After: answer.Msg.GetLast(), Limit: tailMost, Filter: filter}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// filter is what was asked for.
func (c *tailCommand) filter() *adminv1.RequestFilter {
	return &adminv1.RequestFilter{
		Statuses: c.Status, Failed: c.Failed, Troubled: c.Troubled, Provider: c.Provider, Model: c.Model, Class: c.Class, Caller: c.Key, Team: c.Team,
		Request: c.Request, SlowerMs: uint32(min(max(c.Slower.Milliseconds(), 0), math.MaxUint32)), Text: c.Text,
	}
}

const tailLine = "%-12s  %-28s  %-6s  %9s  %9s  %-12s  %-24s  %-28s  %-11s  %s\n"

func (c *tailCommand) print(out io.Writer, r *outcomev1.Record) error {
	if c.Output == "json" { // a line each, for other programs
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
		if err == nil {
			err = tell(out, "%s\n", compact(text))
		}
		return err
	}
	status := fmt.Sprint(r.GetStatus())
	went := "-"
	if n := len(r.GetAttempts()); n > 0 {
		t := r.GetAttempts()[n-1].GetTarget()
		went = t.GetProvider() + "/" + t.GetModel()
	}
	why := r.GetReason()
	if r.GetFault() != "" {
		why = r.GetFault()
	}
	if err := tell(out, tailLine, time.UnixMilli(r.GetStartedUnixMs()).Format("15:04:05.000"), r.GetRequestId(), status, milliseconds(r.GetDurationMs()),
		measured(r.GetFirstByteMs(), milliseconds), r.GetClass(), plainText(r.GetRequestedModel(), 24), plainText(went, 28), why, fmt.Sprintf("%.6f", float64(r.GetCostNanoUsd())/1e9)); err != nil {
		return err
	}
	if c.Attempts {
		return printDecision(out, r)
	}
	return nil
}

// printDecision says who was tried, who else was to be tried, and who was not and why.
func printDecision(out io.Writer, r *outcomev1.Record) error {
	var lines strings.Builder
	tried := map[string]bool{}
	for i, a := range r.GetAttempts() {
		name := a.GetTarget().GetProvider() + "/" + a.GetTarget().GetModel()
		tried[name] = true
		how := "ok"
		if a.GetFault() != "" {
			how = a.GetFault()
			if a.GetDetail() != "" {
				how += ": " + plainText(a.GetDetail(), 160)
			}
		}
		kind := ""
		if a.GetHedge() {
			kind = " (hedge)"
		}
		if a.GetProbe() {
			kind += " (probe)"
		}
		_ = tell(&lines, "    %d. %s%s: %s after %s, first token %s\n", i+1, plainText(name, 96), kind, how, milliseconds(a.GetDurationMs()), measured(a.GetFirstTokenMs(), milliseconds))
	}
	var spare []string
	for _, name := range r.GetCandidates() {
		if !tried[name] {
			spare = append(spare, plainText(name, 96))
		}
	}
	if len(spare) > 0 {
		_ = tell(&lines, "    next: %s\n", strings.Join(spare, ", "))
	}
	for _, p := range r.GetPassedOver() {
		_ = tell(&lines, "    not %s: %s\n", plainText(p.GetTarget(), 96), plainText(p.GetReason(), 160))
	}
	_, err := io.WriteString(out, lines.String())
	return err
}
