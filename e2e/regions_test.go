package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/synthetic"
)

// fenced is a scripted provider that resets the connection of every request that holds a word: as a network would that one region cannot pass.
type fenced struct {
	*synthetic.Server
	word atomic.Pointer[string]
}

func (f *fenced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if word := f.word.Load(); err != nil || word != nil && bytes.Contains(body, []byte(*word)) {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.Server.ServeHTTP(w, r)
}

// openRegions starts two regions of two control planes and two nodes each, over one NATS server; odd numbers are eu, even ones us.
func openRegions(t *testing.T, ids ...string) (*House, map[string]*fenced) {
	t.Helper()
	providers, upstream := map[string]any{}, map[string]*fenced{}
	for _, id := range ids {
		f := &fenced{Server: synthetic.New(synthetic.Config{Name: id})}
		web := httptest.NewServer(f)
		t.Cleanup(web.Close)
		settings := compatible("openai")
		maps.Copy(settings, map[string]any{"base_url": web.URL + "/v1", "allow_private_address": true})
		providers[id], upstream[id] = settings, f
	}
	return startSized(t, 4, 4, "eu us", map[string]any{"routing": map[string]any{}, "providers": providers}), upstream
}

// ofRegion are the data URLs of a region's nodes.
func (h *House) ofRegion(region string) []string {
	if region == "eu" {
		return []string{h.Data[0], h.Data[2]}
	}
	return []string{h.Data[1], h.Data[3]}
}

// speaking is a request that says from which region it comes.
func speaking(model, region string) string {
	return strings.Replace(asking(model), "Hello!", "Hello from "+region, 1)
}

// healthAt is what a control plane says.
func (h *House) healthAt(t testing.TB, controlplane int) *tablev1.Health {
	t.Helper()
	answer, err := adminv1connect.NewHealthServiceClient(http.DefaultClient, h.Admin[controlplane-1]).GetHealth(t.Context(), connect.NewRequest(&adminv1.GetHealthRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Msg.GetHealth()
}

// TestRegions: each region has a leader and a view of health of its own. A provider that cannot be reached from one is out there alone; one that fails
// where all of its requests come from is out everywhere; and the leader of one region may die without the other taking notice.
func TestRegions(t *testing.T) {
	house, upstream := openRegions(t, "a", "b", "c", "d", "e", "f") // the guard lets two of six go
	leaders := regionLeaders(t, house)
	shareEvenly(t, house)
	t.Run("unreachable from one", func(t *testing.T) { unreachableFromOne(t, house, upstream["a"]) })
	t.Run("out everywhere", func(t *testing.T) { outEverywhere(t, house, upstream["b"]) })
	t.Run("a leader dies", func(t *testing.T) { regionLeaderDies(t, house, leaders) })
}

// regionLeaders waits until every region follows one of its own control planes.
func regionLeaders(t *testing.T, house *House) map[string]string {
	t.Helper()
	own := map[string]map[string]bool{"eu": {"cp-1": true, "cp-3": true}, "us": {"cp-2": true, "cp-4": true}}
	leaders := map[string]string{}
	eventually(t, "each region follows a leader of its own", func() error {
		for region, those := range own {
			for _, node := range house.ofRegion(region) {
				v, err := tableOf(node)
				if err != nil {
					return err
				}
				if !those[v.Table.Leader] {
					return fmt.Errorf("%s in %s follows %q", node, region, v.Table.Leader)
				}
				leaders[region] = v.Table.Leader
			}
		}
		return nil
	})
	return leaders
}

// shareEvenly waits until the two regions, of which neither asks for anything, have halved everything.
func shareEvenly(t *testing.T, house *House) {
	t.Helper()
	for number, other := range map[int]string{1: "us", 2: "eu"} {
		eventually(t, "the regions know each other", func() error {
			h := house.healthAt(t, number)
			if len(h.GetRegions()) != 1 || h.GetRegions()[0].GetRegion() != other || h.GetRegions()[0].GetNodesLive() != 2 || h.GetNodesLive() != 2 {
				return fmt.Errorf("cp-%d: %d nodes live, and %v", number, h.GetNodesLive(), h.GetRegions())
			}
			if h.GetRegionSharePpm() != 500_000 || h.GetTargets()[0].GetCapacitySharePpm() != 500_000 {
				return fmt.Errorf("cp-%d takes %d ppm of everything", number, h.GetRegionSharePpm())
			}
			return nil
		})
	}
}

func unreachableFromOne(t *testing.T, house *House, up *fenced) {
	up.word.Store(new("from eu"))
	stop := make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	defer close(stop)
	for _, region := range []string{"eu", "us"} {
		for _, node := range house.ofRegion(region) {
			all.Go(func() { askAlong(t, node, speaking("a/text", region), stop) })
		}
	}
	for _, node := range house.ofRegion("eu") {
		eventually(t, "the provider is out in eu", func() error {
			if !opened(t, node, "a") {
				return fmt.Errorf("%s has its circuit closed", node)
			}
			return nil
		})
	}
	heard := house.healthAt(t, 2).GetHeader().GetHealthSeq()
	eventually(t, "us has heard of it, and had time to follow", func() error {
		h := house.healthAt(t, 2)
		for _, target := range h.GetTargets() {
			if len(target.GetOpenIn()) > 0 && h.GetHeader().GetHealthSeq() > heard+20 {
				return nil
			}
		}
		return fmt.Errorf("health %d since %d, and no target is open in another region", h.GetHeader().GetHealthSeq(), heard)
	})
	for _, node := range house.ofRegion("us") {
		if opened(t, node, "a") {
			t.Errorf("%s has the circuit open, though the provider answers to us: %v", node, states(house.healthAt(t, 2)))
		}
		if response, body := post(t, node+"/v1/chat/completions", speaking("a/text", "us")); response.StatusCode != http.StatusOK {
			t.Errorf("us is answered with %d: %s", response.StatusCode, body)
		}
	}
	if page := fetch(t, house.Admin[1]+"/debug/fleet"); !strings.Contains(page, "out in eu") || !strings.Contains(page, "us, this one") {
		t.Errorf("/debug/fleet in us does not tell of eu:\n%s", page)
	}
}

// askAlong asks at a steady pace until stop.
func askAlong(t *testing.T, node, body string, stop <-chan struct{}) {
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pace.C:
			post(t, node+"/v1/chat/completions", body)
		}
	}
}

func states(h *tablev1.Health) (list []string) {
	for _, target := range h.GetTargets() {
		if target.GetState() != tablev1.State_STATE_HEALTHY {
			list = append(list, fmt.Sprintf("%s/%s %s: %s", target.GetProvider(), target.GetModel(), target.GetState(), target.GetReason()))
		}
	}
	return list
}

func outEverywhere(t *testing.T, house *House, up *fenced) {
	if err := up.Behave("status=500"); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		post(t, house.Data[0]+"/v1/chat/completions", speaking("b/text", "eu"))
	}
	var began, crossed time.Time
	for _, region := range []string{"eu", "us"} {
		for _, node := range house.ofRegion(region) {
			eventually(t, "the provider is out in "+region, func() error {
				if !opened(t, node, "b") {
					return fmt.Errorf("%s has its circuit closed", node)
				}
				return nil
			})
		}
		began, crossed = crossed, time.Now()
	}
	t.Logf("all of us obeyed %v after all of eu did", crossed.Sub(began).Round(time.Millisecond))
	eventually(t, "us says by whose word", func() error {
		for _, target := range house.healthAt(t, 2).GetTargets() {
			if target.GetProvider() == "b" && target.GetModel() != "" && (!target.GetHeeded() || !strings.Contains(target.GetReason(), "eu")) {
				return fmt.Errorf("%v", target)
			}
		}
		return nil
	})
	if err := up.Behave(""); err != nil {
		t.Fatal(err)
	}
}

func regionLeaderDies(t *testing.T, house *House, leaders map[string]string) {
	house.Cluster(t, "stop", leaders["us"], "KILL")
	after := leaders
	eventually(t, "us follows another", func() error {
		if after = regionLeaders(t, house); after["us"] == leaders["us"] {
			return fmt.Errorf("%v", after)
		}
		return nil
	})
	if after["eu"] != leaders["eu"] {
		t.Errorf("the leader of us died, and eu follows %s instead of %s", after["eu"], leaders["eu"])
	}
}
