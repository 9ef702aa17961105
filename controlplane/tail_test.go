package controlplane

import (
	"fmt"
	"strings"
	"testing"

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
	if all := tail.list(0, 0); tailNames(all.GetRequests()) != "short " || all.GetUnreported() != 1 {
		t.Errorf("%q, %d unreported", tailNames(all.GetRequests()), all.GetUnreported())
	}
}

func TestTailTellsEachRequestOnce(t *testing.T) {
	tail := newTail("cp-1")
	first := tailBatch("n1", 1, 1, "a", "b")
	for _, b := range []*outcomev1.Batch{first, first, tailBatch("n2", 1, 1, "c"), tailBatch("n1", 1, 3, "d"), tailBatch("n1", 1, 2, "late"), tailBatch("n1", 2, 1, "e"), tailBatch("n1", 1, 9, "ghost")} {
		tail.observe(b)
	}
	all := tail.list(0, 0)
	if got := tailNames(all.GetRequests()); got != "a b c d e " || all.GetLast() != 5 || all.GetSource() != "cp-1" {
		t.Errorf("%q, last %d of %q", got, all.GetLast(), all.GetSource())
	}
	for _, row := range []struct {
		after uint64
		limit int
		want  string
	}{{3, 0, "d e "}, {5, 0, ""}, {0, 2, "d e "}, {99, 0, "a b c d e "}, {4, -1, "e "}} {
		if got := tailNames(tail.list(row.after, row.limit).GetRequests()); got != row.want {
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
	answer := tail.list(0, 9999)
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
