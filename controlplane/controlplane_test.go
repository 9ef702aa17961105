package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/aimux/aimux/controlplane"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/bus/bustest"
	"github.com/aimux/aimux/shared/secret"
)

// patience is how long something may take before a test fails; nothing waits that long when all is well.
const patience = 20 * time.Second

// house is a cluster in this process: control planes and nodes that take every table.
type house struct {
	t    testing.TB
	dial func() (net.Conn, error)
	key  secret.Key
}

func newHouse(t testing.TB) *house {
	return &house{t: t, dial: bustest.ServeJetStream(t, t.TempDir()), key: secret.NewKey([32]byte{1})}
}

// replica is one control plane, and its admin API.
type replica struct {
	adminv1connect.ProviderServiceClient
	routing adminv1connect.RoutingServiceClient
	table   adminv1connect.TableServiceClient
	nodes   adminv1connect.NodeServiceClient
	health  adminv1connect.HealthServiceClient
	usage   adminv1connect.UsageServiceClient
	url     string
	stop    func()
}

// controlPlane starts one and waits until it is ready.
func (h *house) controlPlane(id string, change func(*controlplane.Config)) *replica {
	h.t.Helper()
	cfg := controlplane.Config{ID: id, Cluster: bustest.Cluster, Region: bustest.Region, Admin: "127.0.0.1:0", ClusterKey: h.key, AdminAnonymous: "admin"}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	b, err := bus.Connect(bus.Config{InProcess: h.dial, Cluster: cfg.Cluster, Region: cfg.Region, Name: id, Key: cfg.ClusterKey})
	if err != nil {
		h.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		defer b.Close()
		ended <- controlplane.Run(ctx, cfg, controlplane.Deps{
			Bus: b, Log: slog.New(slog.DiscardHandler), Ready: func(addr string) { ready <- addr },
			LookupEnv: func(name string) (string, bool) { return "sk-from-" + name, strings.HasPrefix(name, "SET_") },
		})
	})
	r := &replica{stop: sync.OnceFunc(func() { cancel(); all.Wait() })}
	h.t.Cleanup(r.stop)
	select {
	case addr := <-ready:
		r.url = "http://" + addr
	case err := <-ended:
		h.t.Fatalf("%s ended: %v", id, err)
	case <-time.After(patience):
		h.t.Fatalf("%s is not ready", id)
	}
	r.ProviderServiceClient = adminv1connect.NewProviderServiceClient(http.DefaultClient, r.url)
	r.routing = adminv1connect.NewRoutingServiceClient(http.DefaultClient, r.url)
	r.table = adminv1connect.NewTableServiceClient(http.DefaultClient, r.url)
	r.nodes = adminv1connect.NewNodeServiceClient(http.DefaultClient, r.url)
	r.health = adminv1connect.NewHealthServiceClient(http.DefaultClient, r.url)
	r.usage = adminv1connect.NewUsageServiceClient(http.DefaultClient, r.url)
	return r
}

// node takes every Config that it hears of, unless refuse says why not, and says so at once.
type node struct {
	*bus.Bus
	refuse func(*tablev1.Config) *tablev1.Nack

	mu     sync.Mutex
	config *tablev1.Config
	health *tablev1.Health
}

func (h *house) node(name string, refuse func(*tablev1.Config) *tablev1.Nack) *node {
	h.t.Helper()
	n := &node{Bus: bustest.Join(h.t, h.dial, name), refuse: refuse}
	if _, err := n.WatchConfig(n.take); err != nil {
		h.t.Fatal(err)
	}
	if _, err := n.WatchHealth(n.hear); err != nil {
		h.t.Fatal(err)
	}
	bustest.Settle(h.t, n.Bus)
	if c, err := n.FetchConfig(h.t.Context()); err == nil {
		n.take(c, "")
	} else if !errors.Is(err, bus.ErrNobody) {
		h.t.Fatal(err)
	}
	return n
}

func (n *node) take(c *tablev1.Config, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.GetHeader().GetConfigRevision() <= n.config.GetHeader().GetConfigRevision() {
		return
	}
	beat := &tablev1.Heartbeat{Boot: 1}
	if n.refuse != nil {
		beat.Nack = n.refuse(c)
	}
	if beat.GetNack() == nil {
		n.config = c
	}
	beat.Applied = n.config.GetHeader()
	_ = n.SendHeartbeat(beat)
}

func (n *node) hear(m *tablev1.Health, _ string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	had, has := n.health.GetHeader(), m.GetHeader()
	if has.GetEpoch() > had.GetEpoch() || has.GetEpoch() == had.GetEpoch() && has.GetHealthSeq() > had.GetHealthSeq() {
		n.health = m
	}
}

func (n *node) now() (*tablev1.Config, *tablev1.Health) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config, n.health
}

// eventually repeats the question until the answer is "", or fails with the last answer.
func eventually(t testing.TB, question func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		answer := question()
		if answer == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(answer)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func provider(score float64) *adminv1.Provider {
	return &adminv1.Provider{Kind: "synthetic", PriorityScore: &score}
}

func create(t testing.TB, at *replica, id string, p *adminv1.Provider) uint64 {
	t.Helper()
	answer, err := at.CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: id, Provider: p}))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Msg.GetRevision()
}

// ids lists the providers at a replica, at least as of the revision.
func ids(t testing.TB, at *replica, revision uint64) (all []string) {
	t.Helper()
	answer, err := at.ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{MinRevision: revision}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range answer.Msg.GetProviders() {
		all = append(all, p.GetId())
	}
	return all
}

func TestAWriteReachesEveryReplicaAndNode(t *testing.T) {
	h := newHouse(t)
	one, two, three := h.controlPlane("cp-1", nil), h.controlPlane("cp-2", nil), h.controlPlane("cp-3", nil)
	nodes := []*node{h.node("node-1", nil), h.node("node-2", nil)}
	revision := create(t, two, "swift", provider(50))
	for _, cp := range []*replica{one, two, three} {
		if got := ids(t, cp, revision); !slices.Equal(got, []string{"swift"}) {
			t.Errorf("%s lists %v", cp.url, got)
		}
		answer, err := cp.nodes.WaitForRevision(t.Context(), connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision}))
		if err != nil {
			t.Fatal(err)
		}
		if c := answer.Msg.GetConvergence(); c.GetConfigRevision() != revision || c.GetAcked() != 2 || c.GetNodes() != 2 {
			t.Errorf("%s: %v, want 2 of 2 nodes at revision %d", cp.url, c, revision)
		}
	}
	for _, n := range nodes {
		config, _ := n.now()
		if config.GetHeader().GetConfigRevision() != revision || config.GetProviders()[0].GetId() != "swift" {
			t.Errorf("a node holds %v", config)
		}
	}
}

func TestOneLeaderSpeaksAndIsReplaced(t *testing.T) {
	h := newHouse(t)
	replicas := []*replica{h.controlPlane("cp-1", nil), h.controlPlane("cp-2", nil)}
	revision := create(t, replicas[0], "swift", provider(50))
	n := h.node("node-1", nil)
	leader := func() string {
		_, health := n.now()
		return health.GetHeader().GetLeader()
	}
	eventually(t, func() string {
		if _, health := n.now(); health.GetHeader().GetConfigRevision() != revision {
			return fmt.Sprintf("health is %v", health)
		}
		return ""
	})
	first := leader()
	_, before := n.now()
	replicas[slices.Index([]string{"cp-1", "cp-2"}, first)].stop()
	eventually(t, func() string {
		if leader() == first {
			return first + " still leads, though it is gone"
		}
		return ""
	})
	_, after := n.now()
	if after.GetHeader().GetEpoch() <= before.GetHeader().GetEpoch() {
		t.Errorf("the new leader's epoch %d is not above %d", after.GetHeader().GetEpoch(), before.GetHeader().GetEpoch())
	}
}

func TestWritesAreComparedByRevision(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	first := create(t, cp, "swift", provider(50))
	update := func(based uint64, score float64) (uint64, error) {
		answer, err := cp.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "swift", Provider: provider(score), Revision: based}))
		if err != nil {
			return 0, err
		}
		return answer.Msg.GetRevision(), nil
	}
	second, err := update(first, 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := update(first, 70); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("a stale write: %v, want aborted", err)
	}
	if third, err := update(0, 80); err != nil || third <= second {
		t.Errorf("a write regardless: revision %d, %v", third, err)
	}
	_, err = cp.CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "swift", Provider: provider(1)}))
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		t.Errorf("creating what exists: %v", err)
	}
	_, err = cp.DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "absent"}))
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("deleting what does not exist: %v", err)
	}
	if _, err = cp.DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "swift"})); err != nil {
		t.Errorf("deleting: %v", err)
	}
	if got := ids(t, cp, 0); len(got) != 0 {
		t.Errorf("after deleting: %v", got)
	}
}

// Twenty writers at two replicas, none of whom names a revision: nobody's change is lost.
func TestConcurrentWritesAllCount(t *testing.T) {
	h := newHouse(t)
	replicas := []*replica{h.controlPlane("cp-1", nil), h.controlPlane("cp-2", nil)}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := replicas[i%2].CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: fmt.Sprintf("p%d", i), Provider: provider(50)}))
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	answer, err := replicas[0].ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if got := ids(t, replicas[1], answer.Msg.GetRevision()); len(got) != 20 {
			return fmt.Sprintf("%d providers: %v", len(got), got)
		}
		return ""
	})
}

func TestEveryProblemIsToldByPath(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	bad := &adminv1.Provider{Kind: "compatible", BaseUrl: "ftp://nowhere", Models: []*adminv1.Model{{Id: ""}}, PriorityScore: new(-3.0)}
	_, err := cp.CreateProvider(t.Context(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: "bad", Provider: bad}))
	var answer *connect.Error
	if !errors.As(err, &answer) || answer.Code() != connect.CodeInvalidArgument || len(answer.Details()) != 1 {
		t.Fatalf("%v, want invalid_argument with a detail", err)
	}
	detail, err := answer.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	problems, _ := detail.(*adminv1.Problems)
	var paths []string
	for _, p := range problems.GetProblems() {
		paths = append(paths, p.GetPath())
		if !strings.Contains(answer.Message(), p.GetPath()) {
			t.Errorf("the message does not name %s: %s", p.GetPath(), answer.Message())
		}
	}
	for _, want := range []string{"providers.bad.base_url", "providers.bad.priority_score", "providers.bad.models[0].id"} {
		if !slices.Contains(paths, want) {
			t.Errorf("%s is not among %v", want, paths)
		}
	}
	if got := ids(t, cp, 0); len(got) != 0 {
		t.Errorf("a refused provider is there: %v", got)
	}
}

// A key goes in and never comes out; it can be kept by writing [secret] back, as long as the origin stays.
func TestKeysAreSealedAndKept(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	const canary = "sk-canary-0123456789abcdef"
	p := &adminv1.Provider{
		Kind: "compatible", Protocol: "openai", BaseUrl: "https://api.example.com/v1", ApiKey: canary, Models: []*adminv1.Model{{Id: "m"}},
	}
	create(t, cp, "own", p)
	got, err := cp.GetProvider(t.Context(), connect.NewRequest(&adminv1.GetProviderRequest{Id: "own"}))
	if err != nil {
		t.Fatal(err)
	}
	entry := got.Msg.GetProvider()
	if entry.GetProvider().GetApiKey() != "[secret]" || len(entry.GetCredentials()) != 1 || !entry.GetEnabled() {
		t.Fatalf("%v", entry)
	}
	again := entry.GetProvider()
	again.BaseUrl = "https://api.example.com/v2"
	kept, err := cp.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "own", Provider: again}))
	if err != nil || !slices.Equal(kept.Msg.GetProvider().GetCredentials(), entry.GetCredentials()) {
		t.Errorf("another path: %v, %v; want the same key", kept, err)
	}
	again.BaseUrl = "https://elsewhere.example.com/v1"
	if _, err := cp.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "own", Provider: again})); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("another origin: %v, want invalid_argument", err)
	}
	again.BaseUrl, again.ApiKey = "https://api.example.com/v1", "env:SET_KEY"
	refers, err := cp.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "own", Provider: again}))
	if err != nil || refers.Msg.GetProvider().GetProvider().GetApiKey() != "env:SET_KEY" {
		t.Errorf("a reference: %v, %v; want it shown", refers, err)
	}
	for _, page := range []string{"/debug/table", "/debug/fleet", "/healthz", "/metrics"} {
		if body := get(t, cp.url+page); strings.Contains(body, canary) || strings.Contains(body, "sk-from") || strings.Contains(body, "sealed") {
			t.Errorf("%s tells a key: %s", page, body)
		}
	}
}

func get(t testing.TB, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestANackIsTold(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	create(t, cp, "good", provider(50))
	h.node("node-1", func(c *tablev1.Config) *tablev1.Nack {
		for _, p := range c.GetProviders() {
			if p.GetId() == "odd" {
				return &tablev1.Nack{ConfigRevision: c.GetHeader().GetConfigRevision(), Path: "providers.odd", Reason: "is too odd"}
			}
		}
		return nil
	})
	revision := create(t, cp, "odd", provider(50))
	_, err := cp.nodes.WaitForRevision(t.Context(), connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision}))
	if connect.CodeOf(err) != connect.CodeFailedPrecondition || !strings.Contains(err.Error(), "node-1: providers.odd is too odd") {
		t.Errorf("%v, want who refuses it and why", err)
	}
	list, err := cp.nodes.ListNodes(t.Context(), connect.NewRequest(&adminv1.ListNodesRequest{}))
	if err != nil || len(list.Msg.GetNodes()) != 1 {
		t.Fatal(list, err)
	}
	if n := list.Msg.GetNodes()[0]; !n.GetLive() || n.GetDrift() != 1 || n.GetHeartbeat().GetNack().GetReason() != "is too odd" {
		t.Errorf("%v", n)
	}
}

// The file seeds the catalog; its edits are written, section by section; what the API changed elsewhere stays; a bad edit does nothing.
func TestTheFileIsASecondSource(t *testing.T) {
	h := newHouse(t)
	path := filepath.Join(t.TempDir(), "aimux.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"providers":{"a":{"kind":"synthetic","priority_score":10},"b":{"kind":"synthetic"}}}`)
	withFile := func(c *controlplane.Config) { c.File = path }
	cp := h.controlPlane("cp-1", withFile)
	want := func(what string, names []string, scoreOfA float64) {
		t.Helper()
		eventually(t, func() string {
			answer, err := cp.ListProviders(t.Context(), connect.NewRequest(&adminv1.ListProvidersRequest{}))
			if err != nil {
				return err.Error()
			}
			var got []string
			var score float64
			for _, p := range answer.Msg.GetProviders() {
				got = append(got, p.GetId())
				if p.GetId() == "a" {
					score = p.GetProvider().GetPriorityScore()
				}
			}
			if !slices.Equal(got, names) || score != scoreOfA {
				return fmt.Sprintf("%s: %v with a at %v, want %v with %v", what, got, score, names, scoreOfA)
			}
			return ""
		})
	}
	want("at the start", []string{"a", "b"}, 10)

	create(t, cp, "c", provider(50))
	if _, err := cp.UpdateProvider(t.Context(), connect.NewRequest(&adminv1.UpdateProviderRequest{Id: "a", Provider: provider(20)})); err != nil {
		t.Fatal(err)
	}
	want("after the API's changes", []string{"a", "b", "c"}, 20)
	h.controlPlane("cp-2", withFile)
	want("after another replica has read the same file", []string{"a", "b", "c"}, 20)

	write(`{"providers":{"a":{"kind":"synthetic","priority_score":10},"d":{"kind":"synthetic"}}}`)
	want("after an edit that says nothing new of a", []string{"a", "c", "d"}, 20)
	write(`{"providers":{"a":{"kind":"synthetic","priority_score":30},"d":{"kind":"synthetic"}}}`)
	want("after an edit of a", []string{"a", "c", "d"}, 30)

	write(`{"providers":{"a":{"kind":"synthetic","priority_score":3000}},"colour":1}`)
	eventually(t, func() string {
		if body := get(t, cp.url+"/healthz"); !strings.Contains(body, "degraded") || !strings.Contains(body, "colour") {
			return "a bad edit is not told: " + body
		}
		return ""
	})
	want("after a bad edit", []string{"a", "c", "d"}, 30)
	write(`{"providers":{"a":{"kind":"synthetic","priority_score":40},"d":{"kind":"synthetic"}}}`)
	want("after it was mended", []string{"a", "c", "d"}, 40)
	eventually(t, func() string {
		if body := get(t, cp.url+"/healthz"); !strings.Contains(body, `"ok"`) {
			return "the trouble is still told: " + body
		}
		return ""
	})
}

func TestTheSeedIsForAnEmptyStoreOnly(t *testing.T) {
	h := newHouse(t)
	seed := func(c *controlplane.Config) {
		c.Seed = &adminv1.Catalog{Providers: map[string]*adminv1.Provider{"seed": provider(50)}}
	}
	one := h.controlPlane("cp-1", seed)
	if got := ids(t, one, 0); !slices.Equal(got, []string{"seed"}) {
		t.Fatalf("%v", got)
	}
	if _, err := one.DeleteProvider(t.Context(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: "seed"})); err != nil {
		t.Fatal(err)
	}
	one.stop()
	if got := ids(t, h.controlPlane("cp-1", seed), 0); len(got) != 0 {
		t.Errorf("deleted, and back after a restart: %v", got)
	}
}

func TestOverridesReachTheNodes(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	create(t, cp, "swift", provider(50))
	n := h.node("node-1", nil)
	set := func(id string, o *tablev1.Override) (uint64, error) {
		answer, err := cp.health.SetOverride(t.Context(), connect.NewRequest(&adminv1.SetOverrideRequest{Provider: id, Override: o}))
		if err != nil {
			return 0, err
		}
		return answer.Msg.GetRevision(), nil
	}
	for state, code := range map[string]connect.Code{"sideways": connect.CodeInvalidArgument, "drain": connect.CodeNotFound} {
		if _, err := set("absent", &tablev1.Override{State: state}); connect.CodeOf(err) != code {
			t.Errorf("%s of an absent provider: %v, want %v", state, err, code)
		}
	}
	if _, err := set("swift", &tablev1.Override{State: "drain", ExpiresUnixMs: time.Now().Add(-time.Minute).UnixMilli()}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Errorf("an override that is over: %v", err)
	}
	for _, state := range []string{"drain", ""} {
		revision, err := set("swift", &tablev1.Override{State: state, Reason: "maintenance"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cp.nodes.WaitForRevision(t.Context(), connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision})); err != nil {
			t.Fatal(err)
		}
		if config, _ := n.now(); config.GetProviders()[0].GetOverride().GetState() != state {
			t.Errorf("the node holds %v, want %q", config.GetProviders()[0].GetOverride(), state)
		}
	}
}

func TestExplainIsAnsweredByANode(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	ask := func(node string) (*adminv1.ExplainResponse, error) {
		answer, err := cp.routing.Explain(t.Context(), connect.NewRequest(&adminv1.ExplainRequest{Node: node, Request: &tablev1.ExplainRequest{Protocol: "openai"}}))
		if err != nil {
			return nil, err
		}
		return answer.Msg, nil
	}
	if _, err := ask(""); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("with no node: %v, want unavailable", err)
	}
	n := h.node("node-1", nil)
	if _, err := n.ServeExplain(func(r *tablev1.ExplainRequest) *tablev1.Explanation {
		return &tablev1.Explanation{Node: "node-1", Class: r.GetProtocol()}
	}); err != nil {
		t.Fatal(err)
	}
	bustest.Settle(t, n.Bus)
	for _, node := range []string{"", "node-1"} {
		if got, err := ask(node); err != nil || got.GetExplanation().GetClass() != "openai" {
			t.Errorf("asking %q: %v, %v", node, got, err)
		}
	}
}

func TestWatchesFollow(t *testing.T) {
	h := newHouse(t)
	cp := h.controlPlane("cp-1", nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := cp.WatchProviders(ctx, connect.NewRequest(&adminv1.WatchProvidersRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i := range 3 {
		for stream.Receive() && len(stream.Msg().GetProviders()) != i {
		}
		if stream.Err() != nil || len(stream.Msg().GetProviders()) != i {
			t.Fatalf("waiting for %d providers: %v, %v", i, stream.Msg(), stream.Err())
		}
		create(t, cp, fmt.Sprintf("p%d", i), provider(50))
	}
}

func TestRefusesToStart(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"providers":{"a":{"kind":"nonsense"}},"colour":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b := bustest.Join(t, h.dial, "cp-1")
	for name, c := range map[string]struct {
		change func(*controlplane.Config)
		want   []string
	}{
		"bad file":    {func(c *controlplane.Config) { c.File = bad }, []string{bad, "colour"}},
		"no file":     {func(c *controlplane.Config) { c.File = dir + "/none.json" }, []string{"none.json"}},
		"bad data":    {func(c *controlplane.Config) { c.Data = bad + "/data" }, []string{"--data", bad}},
		"bad address": {func(c *controlplane.Config) { c.Admin = "256.0.0.1:1" }, []string{"--admin 256.0.0.1:1"}},
		"open to all": {func(c *controlplane.Config) { c.Admin = "0.0.0.0:0" }, []string{"--admin", "--admin-open"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := controlplane.Config{ID: "cp-1", Cluster: bustest.Cluster, Region: bustest.Region, Admin: "127.0.0.1:0", ClusterKey: h.key}
			c.change(&cfg)
			err := controlplane.Run(t.Context(), cfg, controlplane.Deps{Bus: b, Log: slog.New(slog.DiscardHandler)})
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, want one line", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}
