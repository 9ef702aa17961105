package controlplane

import (
	"fmt"
	"strings"
	"testing"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// tailBatch is what a node says of the requests of those names that ended.
func tailBatch(node string, boot, seq uint64, names ...string) *outcomev1.Batch {
	b := &outcomev1.Batch{Node: node, Boot: boot, Seq: seq}
	for _, name := range names {
		b.Records = append(b.Records, &outcomev1.Record{RequestId: name})
	}
	return b
}

func tailNames(records []*outcomev1.Record) string {
	text := ""
	for _, r := range records {
		text += r.GetRequestId() + " "
	}
	return text
}

// A node that writes novels does not fill the memory, and what it wrote is counted as missing.
func TestTailIsBounded(t *testing.T) {
	tail := newTail("cp-1")
	long := tailBatch("n1", 1, 1, "short", "long")
	long.Records[1].Reason = strings.Repeat("x", recordBytesMax)
	tail.observe(long)
	if all := tail.list(nil); tailNames(all.GetRequests()) != "short " || all.GetUnreported() != 1 {
		t.Errorf("%q, %d unreported", tailNames(all.GetRequests()), all.GetUnreported())
	}
}

func TestTailTellsEachRequestOnce(t *testing.T) {
	tail := newTail("cp-1")
	first := tailBatch("n1", 1, 1, "a", "b")
	for _, b := range []*outcomev1.Batch{first, first, tailBatch("n2", 1, 1, "c"), tailBatch("n1", 1, 3, "d"), tailBatch("n1", 1, 2, "late"), tailBatch("n1", 2, 1, "e"), tailBatch("n1", 1, 9, "ghost")} {
		tail.observe(b)
	}
	all := tail.list(nil)
	if got := tailNames(all.GetRequests()); got != "a b c d e " || all.GetLast() != 5 || all.GetSource() != "cp-1" {
		t.Errorf("%q, last %d of %q", got, all.GetLast(), all.GetSource())
	}
	for _, row := range []struct {
		after uint64
		limit uint32
		want  string
	}{{3, 0, "d e "}, {5, 0, ""}, {0, 2, "d e "}, {99, 0, "a b c d e "}, {4, 9, "e "}} {
		if got := tailNames(tail.list(&adminv1.ListRequestsRequest{After: row.after, Limit: row.limit}).GetRequests()); got != row.want {
			t.Errorf("after %d, at most %d: %q, want %q", row.after, row.limit, got, row.want)
		}
	}
}

func TestTailIsBoundedAndCounts(t *testing.T) {
	tail := newTail("cp-1")
	const all = tailMax + 700
	for i := range all {
		b := tailBatch("n1", 1, uint64(i+1), fmt.Sprint(i))
		b.Records[0].Fault = []string{"overloaded", "canceled", "bad_request", ""}[i%4]
		b.RecordsDropped = 3
		tail.observe(b)
	}
	again := tailBatch("n1", 2, 1)
	again.RecordsDropped = 2
	tail.observe(again)
	answer := tail.list(&adminv1.ListRequestsRequest{Limit: 9999})
	if n := len(answer.GetRequests()); n != tailAnswer || answer.GetRequests()[n-1].GetRequestId() != fmt.Sprint(all-1) {
		t.Errorf("%d requests, want the newest %d", n, tailAnswer)
	}
	if answer.GetFailed() != all/4 || answer.GetUnreported() != 5 || answer.GetLast() != all {
		t.Errorf("%d failed, %d unreported, last %d", answer.GetFailed(), answer.GetUnreported(), answer.GetLast())
	}
	if len(tail.ring) != tailMax {
		t.Errorf("%d are remembered, want %d", len(tail.ring), tailMax)
	}
}

func TestTailIsFiltered(t *testing.T) {
	tail := newTail("cp-1")
	b := tailBatch("n1", 1, 1, "good", "refused", "rescued", "left", "slow")
	at := func(provider, model, fault string) *outcomev1.Attempt {
		return &outcomev1.Attempt{Target: &outcomev1.Target{Provider: provider, Model: model}, Fault: fault}
	}
	good, refused, rescued, left, slow := b.GetRecords()[0], b.GetRecords()[1], b.GetRecords()[2], b.GetRecords()[3], b.GetRecords()[4]
	good.Status, good.Team, good.Caller, good.RequestedModel, good.Attempts = 200, "red", "ci", "claude-x", []*outcomev1.Attempt{at("a", "big", "")}
	refused.Status, refused.Fault, refused.TraceId, refused.PassedOver = 529, "overloaded", "trace-1", []*outcomev1.PassedOver{{Target: "b/small", Reason: "Circuit open"}}
	rescued.Status, rescued.Team, rescued.Attempts = 200, "red", []*outcomev1.Attempt{at("a", "big", "server_error"), at("b", "small", "")}
	left.Status, left.Fault, left.Class = 499, "canceled", "vision"
	slow.Status, slow.DurationMs = 201, 9000
	tail.observe(b)
	for _, row := range []struct {
		filter *adminv1.RequestFilter
		want   string
	}{
		{nil, "good refused rescued left slow "},
		{&adminv1.RequestFilter{}, "good refused rescued left slow "},
		{&adminv1.RequestFilter{Statuses: []string{"5xx"}}, "refused "},
		{&adminv1.RequestFilter{Statuses: []string{"201", "499"}}, "left slow "},
		{&adminv1.RequestFilter{Failed: true}, "refused "},
		{&adminv1.RequestFilter{Troubled: true}, "refused rescued "},
		{&adminv1.RequestFilter{Provider: "b"}, "rescued "},
		{&adminv1.RequestFilter{Provider: "a", Troubled: true}, "rescued "},
		{&adminv1.RequestFilter{Model: "claude-*"}, "good "},
		{&adminv1.RequestFilter{Model: "small"}, "rescued "},
		{&adminv1.RequestFilter{Caller: "ci"}, "good "},
		{&adminv1.RequestFilter{Team: "red"}, "good rescued "},
		{&adminv1.RequestFilter{Class: "vision"}, "left "},
		{&adminv1.RequestFilter{Request: "trace-1"}, "refused "},
		{&adminv1.RequestFilter{Request: "good"}, "good "},
		{&adminv1.RequestFilter{SlowerMs: 9000}, "slow "},
		{&adminv1.RequestFilter{Text: "CIRCUIT"}, "refused "},
		{&adminv1.RequestFilter{Text: "nowhere"}, ""},
	} {
		if got := tail.list(&adminv1.ListRequestsRequest{Filter: row.filter}); tailNames(got.GetRequests()) != row.want || got.GetLast() != 5 {
			t.Errorf("%v: %q of %d, want %q", row.filter, tailNames(got.GetRequests()), got.GetLast(), row.want)
		}
	}
	two := &adminv1.ListRequestsRequest{Filter: &adminv1.RequestFilter{Statuses: []string{"2xx"}}, Limit: 2}
	if got := tailNames(tail.list(two).GetRequests()); got != "rescued slow " {
		t.Errorf("the newest two that are wanted: %q", got)
	}
	two.After = 3
	if got := tailNames(tail.list(two).GetRequests()); got != "slow " {
		t.Errorf("of what came after the third: %q", got)
	}
}
