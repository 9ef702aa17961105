package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// chaosDeadline is what the chaos tests give a request; firstToken and idle end silent attempts well before.
const chaosDeadline = 6 * time.Second

// pace is how hard chaos tests press.
type pace struct {
	clients         int
	pause, deadline time.Duration
	patience        float64 // of nodes with providers, in seconds
}

// chaosPace is hard on a quiet machine, where figures count as well. In the gate, where everything else runs beside them, the tests are gentle, so that
// what fails is what happened to the cluster and not what the machine had no time for.
func chaosPace() pace {
	if testing.Short() {
		return pace{clients: 4, pause: 40 * time.Millisecond, deadline: 5 * chaosDeadline, patience: 5}
	}
	return pace{clients: 8, pause: 10 * time.Millisecond, deadline: chaosDeadline, patience: 1}
}

// routing is what gives nodes that patience.
func (p pace) routing() map[string]any {
	return map[string]any{"first_token_timeout": p.patience, "idle_timeout": p.patience, "request_timeout": p.deadline.Seconds()}
}

// quiet leaves a test to make chaos, whose machine has nothing else to do.
func quiet(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("its figures need a quiet machine: make chaos")
	}
}

// fourProviders serve the model "text", and those given, two in each dialect.
func fourProviders(models ...string) map[string]any {
	return map[string]any{
		"a": compatible("anthropic", models...), "b": compatible("openai", models...),
		"c": compatible("anthropic", models...), "d": compatible("openai", models...),
	}
}

// chaosHouse is a cluster of real processes under watch: what must hold always is checked until the test ends.
func chaosHouse(t testing.TB, providers map[string]any) *House {
	t.Helper()
	house := openRouted(t, Forms[1], chaosPace().routing(), providers)
	watchTables(t, house)
	return house
}

// tableView is what a node says on /health about the table it routes by.
type tableView struct {
	UptimeS int64 `json:"uptime_s"`
	Table   struct {
		Revision  uint64 `json:"revision"`
		Epoch     uint64 `json:"epoch"`
		HealthSeq uint64 `json:"health_seq"`
		AgeMs     int64  `json:"age_ms"`
		Leader    string `json:"leader"`
		Source    string `json:"source"`
	} `json:"table"`
}

// pageClient asks pages; a page that takes longer is one that hangs.
var pageClient = &http.Client{Timeout: 2 * time.Second}

func tableOf(node string) (v tableView, err error) {
	response, err := pageClient.Get(node + "/health")
	if err != nil {
		return v, err
	}
	defer response.Body.Close()
	return v, json.NewDecoder(response.Body).Decode(&v)
}

// watchTables looks at every node's table all the time: neither its revision nor (epoch, seq) goes back in one boot (I10).
func watchTables(t testing.TB, house *House) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	for _, node := range house.Data {
		all.Go(func() {
			var before tableView
			for ctx.Err() == nil {
				if now, err := tableOf(node); err == nil {
					born := now.UptimeS < before.UptimeS || now.Table.Epoch == 0
					back := now.Table.Epoch < before.Table.Epoch || now.Table.Epoch == before.Table.Epoch && now.Table.HealthSeq < before.Table.HealthSeq
					if now.Table.Source != "none" && now.Table.Revision < before.Table.Revision || !born && back {
						t.Errorf("%s went back from %+v to %+v", node, before, now)
					}
					before = now
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

// leader is the number of the control plane that the first node follows.
func leader(t testing.TB, house *House) int {
	t.Helper()
	number := 0
	eventually(t, "a control plane leads", func() error {
		v, err := tableOf(house.Data[0])
		if err != nil {
			return err
		}
		number, err = strconv.Atoi(strings.TrimPrefix(v.Table.Leader, "cp-"))
		return err
	})
	return number
}

// together waits until all nodes hear the control plane and route by one revision, and says how long that took. 0 as the least means any.
func together(t testing.TB, house *House, least uint64) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "all nodes route by one table", func() error {
		var seen []tableView
		for _, node := range house.Data {
			v, err := tableOf(node)
			if err != nil {
				return err
			}
			if v.Table.AgeMs > 500 || v.Table.Revision < least || v.Table.Revision != append(seen, v)[0].Table.Revision {
				return fmt.Errorf("%s: %+v, %s: %+v", house.Data[0], append(seen, v)[0], node, v)
			}
			seen = append(seen, v)
		}
		return nil
	})
	return time.Since(began)
}

// healed fails if the nodes take more than a second to be one again (I9).
func healed(t testing.TB, house *House, what string, least uint64) {
	t.Helper()
	took := together(t, house, least)
	t.Logf("%s: all nodes were one again after %v", what, took.Round(time.Millisecond))
	if took > time.Second && !testing.Short() {
		t.Errorf("%s: all nodes were one again after %v, over a second", what, took)
	}
}

// circuits are the states that a control plane tells of, by provider and model; healthy ones are left out, and one that is being tried is open.
func circuits(t testing.TB, house *House, controlplane int) map[string]string {
	t.Helper()
	answer, err := adminv1connect.NewHealthServiceClient(http.DefaultClient, house.Admin[controlplane-1]).GetHealth(t.Context(), connect.NewRequest(&adminv1.GetHealthRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, target := range answer.Msg.GetHealth().GetTargets() {
		states[target.GetProvider()+"/"+target.GetModel()] = strings.Replace(target.GetState().String(), "HALF_OPEN", "CIRCUIT_OPEN", 1)
	}
	maps.DeleteFunc(states, func(_, state string) bool { return state == "STATE_HEALTHY" })
	return states
}

// debugURL is the debug listener of the node with that data URL.
func debugURL(t testing.TB, data string) string {
	t.Helper()
	at, err := url.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + net.JoinHostPort(at.Hostname(), strconv.Itoa(port+10))
}

// fetch reads a page.
func fetch(t testing.TB, page string) string {
	t.Helper()
	text, err := read(page)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read is fetch for those who can do without.
func read(page string) (string, error) {
	response, err := pageClient.Get(page)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// goroutines counts a node's.
func goroutines(t testing.TB, data string) (n int) {
	t.Helper()
	text := fetch(t, debugURL(t, data)+"/debug/pprof/goroutine?debug=1")
	if _, err := fmt.Sscanf(text, "goroutine profile: total %d", &n); err != nil {
		t.Fatalf("%v: %.100s", err, text)
	}
	return n
}

// passage is a TCP proxy between a node and NATS that can be closed to either direction.
type passage struct {
	net.Listener
	to string

	mu    sync.Mutex
	open  sync.Cond
	shut  [2]bool // guarded by mu: to the server, from the server
	conns []net.Conn
}

// newPassage opens a way to an address.
func newPassage(t testing.TB, to string) *passage {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &passage{Listener: listener, to: to}
	p.open.L = &p.mu
	go p.accept()
	t.Cleanup(func() {
		p.shutTo(false, false)
		listener.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.conns {
			c.Close()
		}
	})
	return p
}

// shutTo holds back what goes to the server, or what comes from it; bytes held back pass when the way is open again.
func (p *passage) shutTo(there, back bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = [2]bool{there, back}
	p.open.Broadcast()
}

func (p *passage) accept() {
	for {
		near, err := p.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		go p.carry(far, near, 0)
		go p.carry(near, far, 1)
	}
}

func (p *passage) carry(to, from net.Conn, direction int) {
	defer to.Close()
	defer from.Close()
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		p.mu.Lock()
		for p.shut[direction] {
			p.open.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// redis sends one inline command to the house's Redis.
func (h *House) redis(t testing.TB, command string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", h.Port(t, 1), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 64)
	if _, err := c.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(answer); err != nil || answer[0] != '+' {
		t.Fatalf("%s: %v %s", command, err, answer[:n])
	}
}

// Port is the address of a cluster's port by its place: 0 NATS, 1 Redis.
func (h *House) Port(t testing.TB, place int) string {
	t.Helper()
	at, err := url.Parse(h.Data[0])
	if err != nil {
		t.Fatal(err)
	}
	first, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(at.Hostname(), strconv.Itoa(first-21+place))
}
