package vitals

import (
	"bufio"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

var rewritePace = flag.Bool("rewrite-pace", false, "write what the stories of paces tell")

// service is a provider that serves so many at once in a time, and keeps all others waiting; beyond its queue it refuses.
type service struct {
	slots, queue int64
	timeMS       float64
}

// play sends from so many clients who ask again and again, for so long; it tells where the limit comes to.
func (s service) play(p *pace, nowMS, forMS, clients int64, chance *rand.Rand) (endMS, most int64, refused, served int) {
	for end := nowMS + forMS; nowMS < end; {
		inFlight := min(clients, p.may(nowMS))
		most = max(most, inFlight)
		took := s.timeMS * (0.8 + 0.4*chance.Float64())
		if inFlight > s.slots {
			took *= float64(inFlight) / float64(s.slots)
		}
		begun := nowMS
		nowMS += int64(took)
		// In the time that one takes all that are in flight end.
		for range inFlight {
			if inFlight > s.slots+s.queue && chance.Float64() < 0.3 {
				refused++
				p.overloaded(nowMS, begun, inFlight)
			} else {
				served++
				p.answered(nowMS, inFlight, took)
			}
		}
	}
	return nowMS, most, refused, served
}

// TestPaceStories plays what testdata/pace.txt tells, line by line: what the provider is like, how many ask, and where it ends. With
// -rewrite-pace the endings are written anew.
func TestPaceStories(t *testing.T) {
	const path = "testdata/pace.txt"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var p pace
	var now int64
	chance := rand.New(rand.NewPCG(1, 2))
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		said, told, _ := strings.Cut(lines.Text(), " => ")
		if !strings.HasPrefix(said, "play ") {
			if strings.HasPrefix(said, "story ") {
				p, now = pace{}, 1_000_000
			}
			fmt.Fprintln(&out, said)
			continue
		}
		var s service
		var seconds, clients int64
		if _, err := fmt.Sscanf(said, "play %d at once, %d wait, %f ms; %d clients, %d s", &s.slots, &s.queue, &s.timeMS, &clients, &seconds); err != nil {
			t.Fatalf("%q: %v", said, err)
		}
		var refused, served int
		now, _, refused, served = s.play(&p, now, seconds*1000, clients, chance)
		limit := "no limit"
		if may := p.may(now); may < math.MaxInt32 {
			limit = fmt.Sprintf("limit %d", may)
		}
		got := fmt.Sprintf("%s, %.1f%% refused", limit, 100*float64(refused)/float64(refused+served))
		if got != told && !*rewritePace {
			t.Errorf("%s\n got %s\nwant %s", said, got, told)
		}
		fmt.Fprintf(&out, "%s => %s\n", said, got)
	}
	if *rewritePace {
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPaceOfWhatIsLeft begins no more than the provider says may be begun, for a while.
func TestPaceOfWhatIsLeft(t *testing.T) {
	var p pace
	p.told(1000, 3)
	if got := p.may(1001); got != 3 {
		t.Errorf("%d, of the 3 that are left", got)
	}
	p.told(1002, 0)
	if got := p.may(1003); got != 1 {
		t.Errorf("%d where nothing is left: one asks how it is", got)
	}
	if got := p.may(1002 + leftHoldsMS); got != math.MaxInt32 {
		t.Errorf("%d after a while", got)
	}
}
