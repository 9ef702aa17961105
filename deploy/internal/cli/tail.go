package cli

import (
	"context"
	"fmt"
	"io"
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
	Every    time.Duration `help:"How often to look." default:"500ms"`
	Failed   bool          `help:"Only what failed."`
	Provider string        `help:"Only what this provider was tried for." placeholder:"ID"`
	Model    string        `help:"Only requests for this model; a trailing * stands for any ending." placeholder:"NAME"`
	Class    string        `help:"Only requests of this class." placeholder:"CLASS"`
	Caller   string        `help:"Only requests of this caller." placeholder:"NAME"`
	Request  string        `help:"Only the request of this id, or of this trace." placeholder:"ID"`
	Slower   time.Duration `help:"Only what took at least so long." placeholder:"DURATION"`
	Attempts bool          `short:"a" help:"Show every attempt below its request."`
}

// tailLeast is the least time between two looks.
const tailLeast = 100 * time.Millisecond

// Run prints requests as they end, until it is interrupted.
func (c *tailCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	api := adminv1connect.NewUsageServiceClient(client, base)
	ticker := time.NewTicker(max(c.Every, tailLeast))
	defer ticker.Stop()
	ask := &adminv1.ListRequestsRequest{Limit: min(max(c.Last, 1), 500)}
	source := ""
	if c.Output == "text" {
		_ = tell(street.Stdout, tailLine, "TIME", "REQUEST", "STATUS", "TOTAL", "FIRST", "CLASS", "MODEL", "WENT TO", "WHY", "COST USD")
	}
	for {
		answer, err := api.ListRequests(ctx, connect.NewRequest(ask))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if source != "" && answer.Msg.GetSource() != source {
			ask, source = &adminv1.ListRequestsRequest{}, "" // another replica answers, which counts anew
			fmt.Fprintln(street.Stderr, "aimux: another control plane answers; some requests may be told again")
			continue
		}
		for _, r := range answer.Msg.GetRequests() {
			if !c.wants(r) {
				continue
			}
			if err := c.print(street.Stdout, r); err != nil {
				return err
			}
		}
		if !c.Follow {
			return nil
		}
		source = answer.Msg.GetSource()
		ask = &adminv1.ListRequestsRequest{After: answer.Msg.GetLast()}
		if answer.Msg.GetLast() == 0 {
			ask.Limit = 500
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// wants says whether a request is among those that were asked for.
func (c *tailCommand) wants(r *outcomev1.Record) bool {
	tried := c.Provider == ""
	for _, a := range r.GetAttempts() {
		tried = tried || a.GetTarget().GetProvider() == c.Provider
	}
	name, open := strings.CutSuffix(c.Model, "*")
	model := c.Model == "" || r.GetRequestedModel() == c.Model || open && strings.HasPrefix(r.GetRequestedModel(), name)
	return tried && model && (!c.Failed || r.GetFault() != "") && (c.Class == "" || r.GetClass() == c.Class) && (c.Caller == "" || r.GetCaller() == c.Caller) &&
		(c.Request == "" || r.GetRequestId() == c.Request || r.GetTraceId() == c.Request) && time.Duration(r.GetDurationMs())*time.Millisecond >= c.Slower
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
	if !c.Attempts {
		return nil
	}
	for i, a := range r.GetAttempts() {
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
		if err := tell(out, "    %d. %s/%s%s: %s after %s, first token %s\n", i+1, a.GetTarget().GetProvider(), plainText(a.GetTarget().GetModel(), 64), kind, how,
			milliseconds(a.GetDurationMs()), measured(a.GetFirstTokenMs(), milliseconds)); err != nil {
			return err
		}
	}
	return nil
}
