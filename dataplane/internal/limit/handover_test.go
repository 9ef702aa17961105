package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aimux/aimux/dataplane/internal/limit"
)

// TestHandover moves slots between nodes whose asks are overtaken and whose answers are late or lost, who let requests in meanwhile, take their leave,
// die, and begin anew under their names: there are never more in flight than the cap.
func TestHandover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const ttl = 10 * time.Second
		now := epoch
		source := limit.NewMemory(func() time.Time { return now })
		most, count := rapid.Int64Range(1, 20).Draw(t, "cap"), rapid.Int64Range(2, 4).Draw(t, "nodes")
		type holder struct {
			granted, inUse int64
			expires        time.Time
			answer         *limit.Grant // on its way
			boot           int
			seq            int64
			late           []limit.Ask // which the source will hear only after others, and whose answers nobody hears
		}
		nodes := make([]holder, count)
		renew := func(i int64, boot int, a limit.Ask) limit.Grant {
			grants := make([]limit.Grant, 1)
			if err := source.Renew(context.Background(), fmt.Sprintf("%d.%d", i, boot), []limit.Ask{a}, grants); err != nil {
				t.Fatal(err)
			}
			return grants[0]
		}
		// The source has known the limit for long enough to trust its memory.
		if err := source.Renew(context.Background(), "before", []limit.Ask{{Key: "s", Kind: limit.Slots, Limit: most, TTL: ttl}}, make([]limit.Grant, 1)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(ttl)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.Int64Range(0, count-1).Draw(t, "node")
			n := &nodes[i]
			ask := limit.Ask{
				Key: "s", Kind: limit.Slots, Limit: most, TTL: ttl, Want: rapid.Int64Range(0, most).Draw(t, "want"),
				InUse: n.inUse, Held: n.granted, Share: most / count, Seq: n.seq,
			}
			switch rapid.SampledFrom([]string{"ask", "ask", "ask late", "arrive", "answer", "answer", "lose", "enter", "enter", "leave", "go", "die", "wait"}).Draw(t, "step") {
			case "ask":
				if n.answer != nil {
					continue
				}
				grant := renew(i, n.boot, ask)
				n.answer, n.expires = &grant, now.Add(ttl)
				n.seq++
			case "ask late":
				if n.answer == nil {
					n.late = append(n.late, ask)
					n.seq++
				}
			case "arrive":
				if len(n.late) > 0 && n.granted+n.inUse > 0 && now.Before(n.expires) {
					at := rapid.IntRange(0, len(n.late)-1).Draw(t, "which")
					renew(i, n.boot, n.late[at])
				}
			case "go":
				if n.answer == nil {
					ask.Want, n.granted = 0, 0
					renew(i, n.boot, ask)
					n.seq++
				}
			case "die":
				*n = holder{boot: n.boot + 1}
			case "answer":
				if n.answer != nil {
					n.granted, n.answer = n.answer.Granted, nil
				}
			case "lose":
				n.answer = nil
			case "enter":
				if n.granted > n.inUse {
					n.inUse += rapid.Int64Range(1, n.granted-n.inUse).Draw(t, "requests")
				}
			case "leave":
				n.inUse -= rapid.Int64Range(0, n.inUse).Draw(t, "requests")
			case "wait":
				// Everybody asks again, and hears the answer, before his lease ends; what happens else is for other tests.
				step := time.Duration(rapid.Int64Range(0, 3000).Draw(t, "ms")) * time.Millisecond
				for _, other := range nodes {
					if (other.granted+other.inUse > 0 || other.answer != nil) && !now.Add(step).Before(other.expires) {
						step = 0
					}
				}
				now = now.Add(step)
			}
			sum := int64(0)
			for _, n := range nodes {
				sum += n.inUse
			}
			if sum > most {
				t.Fatalf("%d in flight, of %d: %+v", sum, most, nodes)
			}
		}
	})
}
