package controlplane

import (
	"net/http"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/fault"
)

const (
	tailMax = 2048
	// recordBytesMax is far more than an honest node's record has; longer ones would fill the memory.
	recordBytesMax = 16 << 10
	tailAnswer     = 500
)

// tail remembers the requests that ended last, over all nodes, for people who look on. The loop writes, everybody reads.
type tail struct {
	source string

	mu     sync.Mutex // protects below
	ring   []*outcomev1.Record
	lost   uint64 // batches whose number was passed over
	last   uint64 // how many there have been; the latest stands in the ring at (last-1) % tailMax
	failed uint64
	nodes  map[string]*told
}

// told is how far a node's batches have been heard, and how many records its boot had no room for.
type told struct{ boot, seq, dropped, droppedBefore, oversized uint64 }

func newTail(source string) *tail {
	return &tail{source: source, ring: make([]*outcomev1.Record, 0, tailMax), nodes: map[string]*told{}}
}

// observe takes a batch's records. A batch that was heard before, or comes late, is passed over: a request may be missed here, never
// told twice.
func (t *tail) observe(b *outcomev1.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node := t.nodes[b.GetNode()]
	switch {
	case node == nil && len(t.nodes) >= nodesMax:
		return // the roster counts and tells it
	case node == nil:
		node = &told{boot: b.GetBoot()}
		t.nodes[b.GetNode()] = node
	case b.GetBoot() > node.boot:
		*node = told{boot: b.GetBoot(), droppedBefore: node.droppedBefore + node.dropped, oversized: node.oversized}
	case b.GetBoot() < node.boot || b.GetSeq() <= node.seq:
		return
	}
	if node.seq > 0 {
		t.lost += b.GetSeq() - node.seq - 1
	}
	node.seq, node.dropped = b.GetSeq(), max(node.dropped, b.GetRecordsDropped())
	for _, r := range b.GetRecords() {
		if proto.Size(r) > recordBytesMax {
			node.oversized++
			continue
		}
		if ours(r.GetFault()) {
			t.failed++
		}
		if len(t.ring) < tailMax {
			t.ring = append(t.ring, r)
		} else {
			t.ring[t.last%tailMax] = r
		}
		t.last++
	}
}

// ours says whether a request that ended with that fault should have been answered: what the client got wrong, or left, is not ours.
func ours(name string) bool {
	kind, known := fault.Parse(name)
	if name == "" || kind == fault.None {
		return false
	}
	status := kind.Rule().Status
	return !known || status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
}

// missed is how many batches nodes sent that were not heard, or came too late to be told.
func (t *tail) missed() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// list answers with what has come after a number that list gave before, and is wanted.
func (t *tail) list(ask *adminv1.ListRequestsRequest) *adminv1.ListRequestsResponse {
	answer, heard := t.since(ask.GetAfter())
	limit := int(min(ask.GetLimit(), tailAnswer))
	if limit == 0 {
		limit = tailAnswer
	}
	wanted := newSieve(ask.GetFilter())
	for i := len(heard) - 1; i >= 0 && len(answer.GetRequests()) < limit; i-- {
		if wanted.holds(heard[i]) {
			answer.Requests = append(answer.Requests, heard[i])
		}
	}
	slices.Reverse(answer.GetRequests())
	return answer
}

// since copies what is remembered of what came after a number, so that nobody waits while it is gone through.
func (t *tail) since(after uint64) (*adminv1.ListRequestsResponse, []*outcomev1.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.last - uint64(len(t.ring))
	if after <= t.last {
		first = max(first, after)
	}
	heard := make([]*outcomev1.Record, 0, t.last-first)
	for i := first; i < t.last; i++ {
		heard = append(heard, t.ring[i%tailMax])
	}
	return t.sums(), heard
}

// counted says how many requests there have been.
func (t *tail) counted() *adminv1.ListRequestsResponse {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sums()
}

// sums is counted for a caller who holds mu.
func (t *tail) sums() *adminv1.ListRequestsResponse {
	answer := &adminv1.ListRequestsResponse{Last: t.last, Failed: t.failed, Source: t.source}
	for _, node := range t.nodes {
		answer.Unreported += node.dropped + node.droppedBefore + node.oversized
	}
	return answer
}
