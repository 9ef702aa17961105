package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/certs/certstest"
	"github.com/aimux/aimux/shared/synthetic"
)

// fortress is a cluster of real processes in which every connection is mutual TLS, NATS holds every party to its permissions, and the
// admin API wants tokens.
type fortress struct {
	dir        string
	port       int
	ours       *certstest.Authority
	client     certs.Files // of whoever asks from outside
	upstream   *httptest.Server
	nats       *exec.Cmd
	redis      *exec.Cmd
	nodes      []string
	admin      string
	firstToken string
	plan       plan
}

// plan is what a fortress has besides. The zero value is nothing.
type plan struct {
	clusterKey, redisPassword string
	// env is every process's, flags are those of one.
	env   []string
	flags map[string][]string
	// upstream answers for the providers. settings are the rest of the catalog.
	upstream  http.Handler
	providers map[string]map[string]any
	settings  map[string]any
	// everywhere is the public key of somebody who may do anything on NATS.
	everywhere string
}

func (f *fortress) at(offset int) string { return fmt.Sprintf("127.0.0.1:%d", f.port+offset) }

// launch runs a process until the test ends; its output is in NAME.log.
func (f *fortress) launch(t *testing.T, name, program string, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.Create(filepath.Join(f.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = log, log
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "AIMUX_HOME=" + filepath.Join(f.dir, "home"), "AIMUX_CLUSTER_KEY=file:" + filepath.Join(f.dir, "cluster.key")}
	command.Env = append(command.Env, f.plan.env...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s: …%s", name, text[max(0, len(text)-1500):])
		}
	})
	return command
}

// tlsFlags are the flags of a party's connections.
func (f *fortress) tlsFlags(t *testing.T, name string) []string {
	own := f.ours.Issue(t, name)
	return []string{
		"--nats", "tls://" + f.at(0), "--nats-ca", own.CA, "--nats-cert", own.Cert, "--nats-key", own.Key, "--nats-nkey", filepath.Join(f.dir, name+".nk"),
		"--tls-cert", own.Cert, "--tls-key", own.Key, "--tls-client-ca", own.CA, "--debug-client-ca", own.CA, "--id", name, "--data", filepath.Join(f.dir, name),
	}
}

// command runs the command line as an operator elsewhere would, who has a certificate and a token.
func (f *fortress) command(t *testing.T, token string, args ...string) (string, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, aimux(t), append(args, "--admin", f.admin, "--ca", f.client.CA, "--client-cert", f.client.Cert, "--client-key", f.client.Key)...)
	cmd.Env = []string{"AIMUX_TOKEN=" + token, "AIMUX_HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// askOver sends a request over TLS by these files.
func askOver(t *testing.T, files certs.Files, url, body string) (int, string, error) {
	t.Helper()
	keeper, err := certs.Open(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: keeper.Client("127.0.0.1"), DisableKeepAlives: true}
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func buildFortress(t *testing.T) *fortress {
	t.Helper()
	first := compatible("anthropic")
	first["limits"] = map[string]any{"max_concurrent_requests": 50}
	return raise(t, plan{
		clusterKey: strings.Repeat("4a", 32), upstream: synthetic.New(synthetic.Config{Name: "first"}), providers: map[string]map[string]any{"first": first},
	})
}

// raise builds a fortress by a plan.
func raise(t *testing.T, plan plan) *fortress {
	t.Helper()
	dir := t.TempDir()
	f := &fortress{dir: dir, port: freePorts(t), ours: certstest.New(t, dir, "ours"), plan: plan}
	f.client = f.ours.Issue(t, "operator")
	f.upstream = httptest.NewServer(plan.upstream)
	t.Cleanup(f.upstream.Close)
	redisURL, redisConf := "rediss://"+f.at(1), ""
	if plan.redisPassword != "" {
		redisURL, redisConf = "rediss://:"+url.QueryEscape(plan.redisPassword)+"@"+f.at(1), "requirepass "+plan.redisPassword+"\n"
	}
	f.plan.env = append(f.plan.env, "AIMUX_REDIS="+redisURL)
	for name, text := range map[string]string{"cluster.key": plan.clusterKey, "redis.conf": redisConf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := f.ours.Issue(t, "server")
	out, err := exec.Command(aimux(t), "nats-conf", "--controlplanes", "cp-1", "--nodes", "node-1,node-2", "--dir", dir, "--listen", f.at(0),
		"--tls-cert", server.Cert, "--tls-key", server.Key, "--tls-ca", server.CA).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if plan.everywhere != "" {
		allow(t, filepath.Join(dir, "nats.conf"), plan.everywhere)
	}
	f.nats = f.launch(t, "nats", filepath.Join(root(t), ".tmp", "bin", "nats-server"), "-c", filepath.Join(dir, "nats.conf"))
	f.redis = f.launch(t, "redis", "redis-server", filepath.Join(dir, "redis.conf"), "--port", "0", "--tls-port", fmt.Sprint(f.port+1), "--bind", "127.0.0.1", "--save", "", "--dir", dir,
		"--tls-cert-file", server.Cert, "--tls-key-file", server.Key, "--tls-ca-cert-file", server.CA, "--tls-auth-clients", "yes")
	for _, p := range plan.providers {
		p["base_url"], p["allow_private_address"] = f.upstream.URL+"/v1", true
	}
	settings := map[string]any{"providers": plan.providers}
	maps.Copy(settings, plan.settings)
	catalog := writeCatalog(t, dir, settings)
	f.admin = "https://" + f.at(11)
	f.launch(t, "cp-1", aimux(t), append([]string{"controlplane", "--admin", f.at(11), "--config", catalog}, slices.Concat(f.tlsFlags(t, "cp-1"), plan.flags["cp-1"])...)...)
	for i := 1; i <= 2; i++ {
		name := fmt.Sprintf("node-%d", i)
		own := f.ours.Issue(t, name)
		f.nodes = append(f.nodes, "https://"+f.at(20+i))
		f.launch(t, name, aimux(t), append([]string{
			"dataplane", "--listen", f.at(20 + i), "--debug", f.at(30 + i), "--redis-ca", own.CA, "--redis-cert", own.Cert, "--redis-key", own.Key,
		}, slices.Concat(f.tlsFlags(t, name), plan.flags[name])...)...)
	}
	eventually(t, "the nodes serve", func() error {
		for _, node := range f.nodes {
			if code, body, err := askOver(t, f.client, node+"/readyz", ""); err != nil || code != http.StatusOK {
				return fmt.Errorf("%s: %d %s %w", node, code, body, err)
			}
		}
		return nil
	})
	eventually(t, "the first start prints a token", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "cp-1.log"))
		if _, after, found := bytes.Cut(text, []byte("shown this once: ")); found && err == nil {
			f.firstToken = strings.TrimSpace(strings.SplitN(string(after), "\n", 2)[0])
			return nil
		}
		return fmt.Errorf("not yet: %w", err)
	})
	return f
}

// allow adds somebody to a NATS configuration who may do anything.
func allow(t *testing.T, conf, public string) {
	t.Helper()
	text, err := os.ReadFile(conf)
	if err == nil {
		err = os.WriteFile(conf, bytes.Replace(text, []byte("users: ["), []byte("users: [\n      { nkey: "+public+" }"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryConnectionIsMutualTLS runs a whole cluster on certificates, permissions and tokens, and tries each connection without.
func TestEveryConnectionIsMutualTLS(t *testing.T) {
	f := buildFortress(t)
	theirs := certstest.New(t, t.TempDir(), "theirs").Issue(t, "operator")
	theirs.CA = f.client.CA
	strangers := map[string]certs.Files{"no certificate": {CA: f.client.CA}, "another authority's": theirs}

	for _, node := range f.nodes {
		eventually(t, node+" has fetched what its limits may give out", func() error {
			code, body, err := askOver(t, f.client, node+"/v1/messages", hello)
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d %s", code, body)
			}
			return err
		})
	}
	for who, files := range strangers {
		for _, place := range []string{f.nodes[0] + "/v1/messages", f.admin + "/readyz", "https://" + f.at(31) + "/"} {
			if code, body, err := askOver(t, files, place, ""); err == nil {
				t.Errorf("%s with %s: %d %s", place, who, code, body)
			}
		}
		config := func() *tls.Config {
			keeper, err := certs.Open(files, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			return keeper.Client("127.0.0.1")
		}
		if conn, err := nats.Connect("tls://"+f.at(0), nats.Secure(config())); err == nil {
			conn.Close()
			t.Errorf("NATS lets somebody in with %s", who)
		}
		if conn, err := tls.Dial("tcp", f.at(1), config()); err == nil {
			_, _ = conn.Write([]byte("PING\r\n"))
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, _ := conn.Read(make([]byte, 16)); n > 0 {
				t.Errorf("Redis answers somebody with %s", who)
			}
			conn.Close()
		}
	}
	// A certificate opens the door to NATS, but nobody is there without a key.
	keeper, err := certs.Open(f.client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := nats.Connect("tls://"+f.at(0), nats.Secure(keeper.Client("127.0.0.1"))); err == nil {
		conn.Close()
		t.Error("NATS lets somebody in without a key")
	}

	if out, err := f.command(t, "", "provider", "list"); err == nil || !strings.Contains(out, "token") {
		t.Errorf("without a token: %v %s", err, out)
	}
	if out, err := f.command(t, f.firstToken, "provider", "list"); err != nil || !strings.Contains(out, "first") {
		t.Errorf("with the first token: %v %s", err, out)
	}
	made, err := f.command(t, f.firstToken, "token", "create", "ci", "--role", "viewer")
	if err != nil {
		t.Fatal(made)
	}
	lines := strings.Fields(made)
	if out, err := f.command(t, lines[len(lines)-1], "provider", "delete", "first"); err == nil || !strings.Contains(out, "viewer") {
		t.Errorf("a viewer deletes: %v %s", err, out)
	}
	if out, err := f.command(t, f.firstToken, "audit", "--verify"); err != nil || !strings.Contains(out, "each follows") {
		t.Errorf("the audit log: %v %s", err, out)
	}
	if out, err := f.command(t, f.firstToken, "node", "list"); err != nil || strings.Count(out, " bus ") != 2 {
		t.Errorf("the nodes: %v %s", err, out)
	}
	// Nobody lacked a permission, and nobody went on without what he could not reach.
	logs, err := filepath.Glob(filepath.Join(f.dir, "*-*.log"))
	if err != nil || len(logs) != 3 {
		t.Fatal(logs, err)
	}
	for _, name := range logs {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "iolation") || strings.Contains(line, `"level":"ERROR"`) || strings.Contains(strings.ToLower(line), "redis") {
				t.Errorf("%s: %s", filepath.Base(name), line)
			}
		}
	}
}
