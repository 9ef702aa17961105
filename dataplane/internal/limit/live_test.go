package limit_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/aimux/aimux/dataplane/internal/limit"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/outcome"
	"github.com/aimux/aimux/shared/route"
)

var (
	live      = flag.Duration("live", 4*time.Second, "how long TestHistoriesOfALiveRedis plays each seed")
	liveSeeds = flag.Uint64("live.seeds", 2, "how many seeds TestHistoriesOfALiveRedis plays")
	liveFirst = flag.Uint64("live.first", 0, "the first seed that TestHistoriesOfALiveRedis plays")
)

// server is a redis-server process of the machine, on loopback.
type server struct {
	addr, dir string
	process   *exec.Cmd
	client    *redis.Client
}

// needRedis skips the test where the machine has no redis-server.
func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server on this machine")
	}
}

// serve starts a server that keeps what it saves in dir, as a replica of another one if there is one; it waits until it answers.
func serve(t *testing.T, dir string, of *server) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	listener.Close()
	args := []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir, "--repl-diskless-sync-delay", "0"}
	if of != nil {
		host, port, _ := net.SplitHostPort(of.addr)
		args = append(args, "--replicaof", host+" "+port)
	}
	s := &server{addr: addr, dir: dir, process: exec.Command("redis-server", args...), client: redis.NewClient(&redis.Options{Addr: addr})}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill(); s.client.Close() })
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	until(ctx, t, "the server to answer", func() bool { return s.client.Ping(ctx).Err() == nil })
	return s
}

func (s *server) signal(what syscall.Signal) { _ = s.process.Process.Signal(what) }

func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// stage is what a history plays on: nodes, and a server with a replica behind one address, where the server may be another one from now on.
type stage struct {
	t       *testing.T
	chance  *rand.Rand
	table   *route.Table
	primary atomic.Pointer[server]
	replica *server

	running [liveNodes]atomic.Pointer[node] // nil while it is dead, or about to die
	links   [liveNodes]*link
	inside  [liveNodes]atomic.Int64
	boots   int
}

const (
	liveNodes = 3
	liveTurn  = 600 * time.Millisecond
)

func (s *stage) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, s.primary.Load().addr)
}

// begin starts a node, under a name that it may have had before.
func (s *stage) begin(i int) {
	source, err := limit.NewRedis(limit.RedisConfig{URL: "redis://store:6379", Cluster: "live", Dial: s.dial})
	if err != nil {
		s.t.Fatal(err)
	}
	s.boots++
	s.links[i] = &link{Source: source, chance: rand.New(rand.NewPCG(uint64(s.boots), 5)), latencyMax: time.Millisecond}
	s.running[i].Store(run(s.t, fmt.Sprintf("n%d.%d", i, s.boots), limit.Deps{Source: s.links[i]}, s.table))
}

// end stops a node when its requests have ended, with a word or without one.
func (s *stage) end(i int, word bool) {
	old := s.running[i].Swap(nil)
	for s.inside[i].Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	s.links[i].set(!word, false)
	old.stop()
	old.Close()
}

// follow gives the primary a replica that has all of its memory.
func (s *stage) follow() {
	s.replica = serve(s.t, s.t.TempDir(), s.primary.Load())
	ctx, stop := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer stop()
	until(ctx, s.t, "the replica to have the primary's memory", func() bool {
		role, err := s.replica.client.Do(ctx, "role").Slice()
		return err == nil && len(role) > 3 && role[3] == "connected"
	})
}

// deafen has the replica hear no more of the primary, whose place it may take.
func (s *stage) deafen() {
	if err := s.replica.client.Do(s.t.Context(), "replicaof", "no", "one").Err(); err != nil {
		s.t.Error(err)
	}
}

// liveFault is something that happens, for about so long.
type liveFault struct {
	name string
	do   func(s *stage, lasts time.Duration)
}

var liveFaults = [...]liveFault{
	{"the store stands still", func(s *stage, lasts time.Duration) {
		p := s.primary.Load()
		p.signal(syscall.SIGSTOP)
		time.Sleep(lasts)
		p.signal(syscall.SIGCONT)
	}},
	{"the store is emptied", func(s *stage, _ time.Duration) { _ = s.primary.Load().client.FlushAll(s.t.Context()).Err() }},
	{"the store dies and begins anew", func(s *stage, lasts time.Duration) {
		s.primary.Load().kill()
		time.Sleep(lasts)
		s.primary.Store(serve(s.t, s.t.TempDir(), nil))
		s.replica.kill()
		s.follow()
	}},
	{"the store dies and remembers what it once saved", func(s *stage, lasts time.Duration) {
		p := s.primary.Load()
		err := p.client.Save(s.t.Context()).Err()
		for ; err != nil && strings.Contains(err.Error(), "already in progress"); err = p.client.Save(s.t.Context()).Err() {
			time.Sleep(10 * time.Millisecond) // a replica is being filled
		}
		if err != nil {
			s.t.Error(err)
		}
		time.Sleep(lasts)
		p.kill()
		s.primary.Store(serve(s.t, p.dir, nil))
		s.replica.kill()
		s.follow()
	}},
	{"the store dies, and its replica has not heard the last of it", func(s *stage, lasts time.Duration) {
		s.deafen()
		time.Sleep(lasts)
		s.primary.Load().kill()
		s.primary.Store(s.replica)
		s.follow()
	}},
	{"a node dies and comes back", func(s *stage, _ time.Duration) {
		i := s.chance.IntN(liveNodes)
		s.end(i, false)
		s.begin(i)
	}},
	{"a node leaves, and comes back later", func(s *stage, lasts time.Duration) {
		i := s.chance.IntN(liveNodes)
		s.end(i, true)
		time.Sleep(lasts)
		s.begin(i)
	}},
	{"a node does not hear the store", func(s *stage, lasts time.Duration) {
		l := s.links[s.chance.IntN(liveNodes)]
		l.set(false, true)
		time.Sleep(lasts)
		l.set(false, false)
	}},
}

// TestHistoriesOfALiveRedis has clients acquire and release at three nodes while redis-server stops and goes on, is emptied, dies, and comes back
// with nothing, with what it once saved, or as a replica that is behind; and has every history checked. In the gate it is short;
// -live 30s -live.seeds 40 is not.
func TestHistoriesOfALiveRedis(t *testing.T) {
	t.Parallel() // it mostly waits
	needRedis(t)
	for i := range *liveSeeds {
		t.Run(fmt.Sprint("seed ", *liveFirst+i), func(t *testing.T) {
			t.Parallel()
			playLive(t, *liveFirst+i)
		})
	}
}

func playLive(t *testing.T, seed uint64) {
	const most = 9
	s := &stage{t: t, chance: rand.New(rand.NewPCG(seed, 11))}
	s.table = tableWith(t, 1, liveNodes, &tablev1.Limits{MaxConcurrentRequests: most, Mode: "strict"}, func(c *tablev1.Config) { c.Policy.RequestTimeoutMs = 2_000 })
	s.primary.Store(serve(t, t.TempDir(), nil))
	s.follow()
	for i := range liveNodes {
		s.begin(i)
	}
	h := &history{}
	began := time.Now()
	deadline := began.Add(*live)
	var all sync.WaitGroup
	for client := range 12 * liveNodes {
		chance := rand.New(rand.NewPCG(seed, uint64(100+client)))
		all.Go(func() {
			for time.Now().Before(deadline) {
				// Now this node is quiet and now another: slots go from one to the other all the time.
				if int(time.Since(began)/liveTurn)%liveNodes != client%liveNodes {
					s.call(h, client, chance)
				}
				time.Sleep(time.Duration(chance.Int64N(int64(20 * time.Millisecond))))
			}
		})
	}
	for time.Now().Before(deadline) {
		for _, i := range s.chance.Perm(len(liveFaults)) {
			if time.Now().Before(deadline) {
				at := time.Now()
				liveFaults[i].do(s, time.Duration(300+s.chance.IntN(700))*time.Millisecond)
				t.Logf("%v: %s", time.Since(at).Round(time.Millisecond), liveFaults[i].name)
				time.Sleep(time.Duration(s.chance.IntN(500)) * time.Millisecond)
			}
		}
	}
	all.Wait()
	for i := range liveNodes {
		s.end(i, true)
	}
	t.Logf("%d operations", len(h.ops))
	if porcupine.CheckOperationsTimeout(semaphore(most), h.ops, time.Minute) != porcupine.Ok {
		t.Errorf("at some moment more than %d were let in at once", most)
	}
}

// call enters at the client's node, if that lives and has room, stays for a while, and leaves.
func (s *stage) call(h *history, client int, chance *rand.Rand) {
	i := client % liveNodes
	s.inside[i].Add(1)
	defer s.inside[i].Add(-1)
	n := s.running[i].Load()
	if n == nil {
		return
	}
	called := h.now()
	p, f := n.Enter(s.table.Target(0), "k1", &route.Ask{})
	if f != nil {
		return
	}
	h.add(client, semaphoreOp{}, called, true)
	time.Sleep(time.Duration(chance.Int64N(int64(300 * time.Millisecond))))
	called = h.now()
	p.Settle(outcome.Usage{}, 0)
	h.add(client, semaphoreOp{release: true}, called, true)
}

// TestReplicaIsBehind promotes a replica that has not heard that slots went from one node to another: nobody is given them again.
func TestReplicaIsBehind(t *testing.T) {
	t.Parallel()
	needRedis(t)
	const most, nodes = 9, 2
	s := &stage{t: t}
	s.primary.Store(serve(t, t.TempDir(), nil))
	s.follow()
	source, err := limit.NewRedis(limit.RedisConfig{URL: "redis://store:6379", Cluster: "live", Dial: s.dial, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	memory := make(map[string]string)
	ask := func(node string, want, held int64) int64 {
		t.Helper()
		asks := []limit.Ask{{Key: "k", Kind: limit.Slots, Limit: most, Want: want, InUse: held, Held: held, TTL: time.Minute, Learn: time.Minute, Nodes: nodes, Strict: true, Memory: memory[node]}}
		grants := make([]limit.Grant, 1)
		for failures := 0; ; failures++ {
			err := source.Renew(t.Context(), node, asks, grants)
			if err == nil && grants[0].Memory == asks[0].Memory {
				return grants[0].Granted
			}
			if err == nil {
				asks[0].Memory, memory[node] = grants[0].Memory, grants[0].Memory
			}
			if failures > 3 { // connections to the dead server
				t.Fatal(err)
			}
		}
	}
	equal := func(what string, got, want int64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	ask("a", 1, 0)
	ask("b", 1, 0)
	equal("b, alone with its wish", ask("b", 8, 0), 8)
	if n, err := s.primary.Load().client.Wait(t.Context(), 1, 5*time.Second).Result(); n != 1 {
		t.Fatal(n, err)
	}
	s.deafen()
	equal("b, which needs less", ask("b", 2, 2), 2)
	equal("a, of what b left", ask("a", 7, 1), 7)
	s.primary.Load().kill()
	s.primary.Store(s.replica)
	equal("b, of which the replica remembers more", ask("b", 9, 2), 2)
	equal("a, of which it remembers less, and which is to end two of them", ask("a", 7, 7), 5)
	equal("b, now that all have spoken", ask("b", 9, 2), 2)
	equal("a, which needs less", ask("a", 3, 3), 3)
	equal("b, of what a left", ask("b", 9, 2), 6)
}
