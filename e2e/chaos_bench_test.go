package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// BenchmarkLeaderKilled kills the leading control plane when a node has met three of the five failures that open a circuit, lets two more
// happen at another node, and measures the time from the last failure, or the death if that is later, until every node has it open.
func BenchmarkLeaderKilled(b *testing.B) {
	b.Setenv("AIMUX_LOG_LEVEL", "debug")
	house := open(b, measured, map[string]any{"a": compatible("anthropic"), "b": compatible("openai"), "c": compatible("anthropic"), "sick": compatible("anthropic")})
	if err := house.Upstream["sick"].Behave("status=500"); err != nil {
		b.Fatal(err)
	}
	template, err := house.Providers(0).GetProvider(context.Background(), connect.NewRequest(&adminv1.GetProviderRequest{Id: "sick"}))
	if err != nil {
		b.Fatal(err)
	}
	sick := template.Msg.GetProvider().GetProvider()
	sick.ApiKey = "upstream-key"
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		id, dead := fmt.Sprintf("sick-%d", i), leader(b, house)
		created, err := house.Providers(dead-1).CreateProvider(context.Background(), connect.NewRequest(&adminv1.CreateProviderRequest{Id: id, Provider: sick}))
		if err != nil {
			b.Fatal(err)
		}
		together(b, house, created.Msg.GetRevision())
		fail := func(node, times int) {
			for range times {
				post(b, house.Data[node]+"/v1/messages", asking(id+"/text"))
			}
		}
		fail(0, 3)
		if err := signal(house.PID(b, replica(dead)), os.Kill); err != nil {
			b.Fatal(err)
		}
		killed := time.Now()
		fail(1, 2)
		failed := time.Now()
		opened := openAt(b, house, upTo(0, len(house.Data)), id)
		times = append(times, opened.Sub(killed))
		b.Logf("open everywhere %v after the kill, %v after the last failure", opened.Sub(killed), opened.Sub(failed))
		house.Cluster(b, "start", replica(dead))
		eventually(b, "the control plane is back", func() error { return isReady(house.Admin[dead-1]) })
		if _, err := house.Providers(dead-1).DeleteProvider(context.Background(), connect.NewRequest(&adminv1.DeleteProviderRequest{Id: id})); err != nil {
			b.Fatal(err)
		}
	}
	reportQuantiles(b, "open", times)
}

func replica(number int) string { return fmt.Sprint("cp-", number) }

func signal(pid int, s os.Signal) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Signal(s)
}

// BenchmarkNATSLeaderKilled runs the cluster on three NATS servers, kills the one that leads the catalog's stream, and measures for how long
// the nodes hear nothing of health.
func BenchmarkNATSLeaderKilled(b *testing.B) {
	var gaps, others []time.Duration
	for b.Loop() {
		house, servers := startNATSCluster(b)
		ears := make([]*ear, len(house.Data))
		for i, node := range house.Data {
			ears[i] = listenTo(b, node)
		}
		together(b, house, 0)
		time.Sleep(time.Second)
		dead := servers.leader(b)
		if err := servers[dead].Process.Kill(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		for i, e := range ears {
			gap := e.longest()
			b.Logf("%s: %v without news of health; its server died: %v", house.Data[i], gap, i == dead)
			if i == dead {
				gaps = append(gaps, gap)
			} else {
				others = append(others, gap)
			}
		}
		house.Cluster(b, "down")
		servers.stop()
	}
	reportQuantiles(b, "gap", others)
	if len(gaps) > 0 {
		reportQuantiles(b, "gap-at-the-dead", gaps)
	}
}

// ear asks a node all the time which health it has heard last, and keeps the longest time between two changes.
type ear struct{ most atomic.Int64 }

func listenTo(b *testing.B, node string) *ear {
	b.Helper()
	e := &ear{}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		last, at := uint64(0), time.Now()
		for ctx.Err() == nil {
			if v, err := tableOf(node); err == nil && v.Table.HealthSeq+v.Table.Epoch != last {
				if last != 0 {
					e.most.Store(max(e.most.Load(), int64(time.Since(at))))
				}
				last, at = v.Table.HealthSeq+v.Table.Epoch, time.Now()
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return e
}

func (e *ear) longest() time.Duration { return time.Duration(e.most.Load()) }

// natsServers are three real servers, one cluster.
type natsServers []*exec.Cmd

// startNATSCluster runs a house on three NATS servers: each control plane and each node prefers one of its own.
func startNATSCluster(b *testing.B) (*House, natsServers) {
	b.Helper()
	house := open(b, Forms[1], fourProviders()) // for its directory, its ports and its providers
	names := []string{"node-1", "node-2", "node-3", "cp-1", "cp-2", "cp-3"}
	for _, name := range append(names, "nats") {
		house.Cluster(b, "stop", name, "KILL")
	}
	for i := 1; i <= 3; i++ {
		for _, name := range []string{"node-", "cp-"} {
			if err := os.RemoveAll(filepath.Join(house.dir, fmt.Sprint(name, i))); err != nil {
				b.Fatal(err)
			}
		}
	}
	var servers natsServers
	client := func(i int) string { return house.Port(b, 5+i) }
	for i := range 3 {
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\nhttp: %q\njetstream { store_dir: %q, sync_interval: always }\ncluster { name: c, listen: %q, routes: [%s] }\n",
			i, client(i), house.Port(b, 35+i), filepath.Join(house.dir, fmt.Sprint("n", i)), house.Port(b, 2+i),
			fmt.Sprintf("%q, %q, %q", "nats://"+house.Port(b, 2), "nats://"+house.Port(b, 3), "nats://"+house.Port(b, 4)))
		path := filepath.Join(house.dir, fmt.Sprint("n", i, ".conf"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		server := exec.Command(filepath.Join(filepath.Dir(aimux(b)), "nats-server"), "-c", path, "-l", filepath.Join(house.dir, fmt.Sprint("n", i, ".log")))
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		servers = append(servers, server)
	}
	b.Cleanup(servers.stop)
	for i := range 3 {
		eventually(b, "the NATS servers are a cluster", func() error { return natsReady(house.Port(b, 35+i)) })
	}
	for _, name := range names {
		i, _ := strconv.Atoi(name[len(name)-1:])
		house.Cluster(b, "start", name, "nats://"+client(i-1)+",nats://"+client(i%3)+",nats://"+client((i+1)%3))
	}
	for _, node := range house.Data {
		eventually(b, "the nodes are ready", func() error { return isReady(node) })
	}
	return house, servers
}

func natsReady(monitor string) error {
	response, err := pageClient.Get("http://" + monitor + "/healthz?js-enabled-only=false")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

func (s natsServers) stop() {
	for _, server := range s {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
}

// leader is the server that leads the catalog's stream.
func (s natsServers) leader(b *testing.B) int {
	b.Helper()
	found := -1
	eventually(b, "the catalog's stream has a leader", func() error {
		for i := range s {
			conf, err := os.ReadFile(s[i].Args[2])
			if err != nil {
				return err
			}
			_, rest, _ := strings.Cut(string(conf), "http: \"")
			monitor, _, _ := strings.Cut(rest, "\"")
			text := fetch(b, "http://"+monitor+"/jsz?streams=1")
			at := strings.Index(text, `"name": "KV_AIMUX_CONFIG"`)
			if at < 0 {
				continue
			}
			for j := range s {
				if strings.Contains(text[at:], fmt.Sprintf(`"leader": "n%d"`, j)) {
					found = j
					return nil
				}
			}
		}
		return fmt.Errorf("none")
	})
	return found
}

// BenchmarkBlackHoles measures a request at a node of which Redis hangs, or NATS and Redis hang and the trace collector never answers, beside the same
// request at a node without such trouble, in turns (I19). Each iteration is a round of requests at both, one here, one there; the figures are the
// medians, over the rounds, of the difference between both nodes' quantiles.
func BenchmarkBlackHoles(b *testing.B) {
	b.Run("redis", func(b *testing.B) { blackHoles(b, "redis") })
	b.Run("all", func(b *testing.B) { blackHoles(b, "nats", "redis", "collector") })
}

func blackHoles(b *testing.B, gone ...string) {
	const round = 500
	well := openRouted(b, Forms[1], map[string]any{}, fourProviders())
	if slices.Contains(gone, "collector") {
		b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+blackHole(b))
	}
	ill := openRouted(b, Forms[1], map[string]any{}, fourProviders())
	houses := []*House{well, ill}
	for _, house := range houses {
		for range 50 {
			post(b, house.Data[0]+"/v1/messages", hello)
		}
	}
	servers := slices.DeleteFunc(slices.Clone(gone), func(name string) bool { return name == "collector" })
	for _, name := range servers {
		ill.Cluster(b, "stop", name, "STOP")
	}
	time.Sleep(time.Second)
	quantiles := map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99}
	asWell, added := map[string][]float64{}, map[string][]float64{}
	for i := 0; b.Loop(); i++ {
		var times [2][]time.Duration
		for j := range 2 * round {
			which := (i + j/2 + j) % 2 // who goes first changes, too
			times[which] = append(times[which], timed(b, houses[which].Data[0]))
		}
		for name, q := range quantiles {
			var at [2]float64
			for which, all := range times {
				slices.Sort(all)
				at[which] = float64(all[int(q*float64(len(all)-1))].Nanoseconds()) / 1000
			}
			asWell[name], added[name] = append(asWell[name], at[0]), append(added[name], at[1]-at[0])
		}
	}
	for _, name := range servers {
		ill.Cluster(b, "stop", name, "CONT")
	}
	for name := range quantiles {
		b.ReportMetric(median(asWell[name]), "well-"+name+"-us")
		b.ReportMetric(median(added[name]), "added-"+name+"-us")
	}
}

// timed is how long a request takes at a node, until its answer is read.
func timed(b *testing.B, node string) time.Duration {
	b.Helper()
	began := time.Now()
	response, err := http.Post(node+"/v1/messages", "application/json", strings.NewReader(hello))
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// blackHole takes connections and never answers.
func blackHole(b *testing.B) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() {
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				for _, c := range held {
					c.Close()
				}
				return
			}
			held = append(held, conn)
		}
	}()
	return listener.Addr().String()
}
