package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/certs"
	"github.com/aimux/aimux/shared/issuer/issuertest"
	"github.com/aimux/aimux/shared/synthetic"
)

// theirs are the files in which an operator keeps secrets himself, and those of each process's own token; nobody but their owner may read them.
var theirs = []string{"aimux.json", "cluster.key", "redis.conf", "*.key", "*.nk", "home/tokens/*"}

// openWatch builds the fortress, with secrets in all of its settings, and begins to listen.
func openWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{t: t, heard: map[string][]byte{}}
	c := &w.canaries
	home, stranger := issuertest.NewRSA(t), issuertest.NewRSA(t)
	jwt := func(name string, by *issuertest.Issuer) string {
		token := by.Sign(t, "RS256", by.Good("somebody", "aimux", nil), nil)
		c.keep(name, token[strings.LastIndexByte(token, '.')+1:])
		return token
	}
	w.good, w.bad = jwt("JWT", home), jwt("JWT of a stranger", stranger)
	var clusterKey [32]byte
	_, _ = rand.Read(clusterKey[:])
	kept := filepath.Join(t.TempDir(), "provider.key")
	if err := os.WriteFile(kept, []byte(c.plant("key in a file")), 0o600); err != nil {
		t.Fatal(err)
	}
	tattler := &tattler{Handler: synthetic.New(synthetic.Config{Name: "first"})}
	first, pooled := compatible("anthropic", lorem), compatible("openai")
	first["limits"] = map[string]any{"max_concurrent_requests": 50}
	first["api_key"] = c.plant("key in the configuration")
	pooled["limits"] = map[string]any{"max_concurrent_requests": 50, "requests_per_minute": 100000}
	delete(pooled, "api_key")
	pooled["api_keys"] = []string{c.plant("first key of a pool"), c.plant("second key of a pool"), "file:" + kept, "env:CANARY_KEY"}
	w.spans = collect(t)
	tap, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := tap.PublicKey()
	w.fortress = raise(t, plan{
		clusterKey: c.keep("cluster key", hex.EncodeToString(clusterKey[:])), redisPassword: strings.ReplaceAll(c.plant("Redis's password"), "/", "_"),
		env: []string{
			"AIMUX_LOG_LEVEL=debug", "AIMUX_LOG_REQUESTS=true", "AIMUX_DEBUG_OPEN=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"),
			"CANARY_KEY=" + c.plant("key in the environment"), "OTEL_EXPORTER_OTLP_HEADERS=authorization=" + c.plant("collector's password"), "OTEL_TRACES_SAMPLER=always_on",
		},
		flags:    map[string][]string{"node-2": {"--trace-content", "4096"}},
		upstream: tattler, everywhere: public, providers: map[string]map[string]any{"first": first, decoy: pooled},
		settings: map[string]any{
			"auth":     map[string]any{"issuers": []any{map[string]any{"issuer": home.URL, "audience": "aimux", "allow_private_address": true}}},
			"webhooks": map[string]any{"configured": map[string]any{"url": "https://127.0.0.1:1/" + c.plant("token in a configured webhook"), "secret": c.plant("configured webhook's secret"), "allow_private_address": true}},
		},
	})
	w.keepFiles()
	keeper, err := certs.Open(w.fortress.client, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.client = &http.Client{
		Transport: &http.Transport{TLSClientConfig: keeper.Client("127.0.0.1")}, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.listen(tap, keeper.Client("127.0.0.1"))
	w.strand()
	return w
}

// strand starts planes that look in vain for a NATS that wants a password.
func (w *watch) strand() {
	own := w.ours.Issue(w.t, "stray")
	whole := w.plan.env
	w.plan.env = append(slices.Clone(whole), "AIMUX_NATS=nats://user:"+url.QueryEscape(w.canaries.plant("NATS's password"))+"@127.0.0.1:1,nats://"+w.canaries.plantShaped("NATS's token")+"@127.0.0.1:1")
	for i, plane := range []string{"controlplane", "dataplane"} {
		listener := map[string]string{"controlplane": "--admin", "dataplane": "--listen"}[plane]
		w.launch(w.t, "stray-"+plane, aimux(w.t), plane, listener, w.at(35+i), "--id", "stray", "--tls-cert", own.Cert, "--tls-key", own.Key, "--data", filepath.Join(w.dir, "stray-"+plane))
	}
	w.plan.env = whole
}

// keepFiles takes the private keys and seeds that were made for the fortress for canaries.
func (w *watch) keepFiles() {
	seeds, _ := filepath.Glob(filepath.Join(w.dir, "*.nk"))
	keys, _ := filepath.Glob(filepath.Join(w.dir, "*.key"))
	for _, name := range append(seeds, keys...) {
		text, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		if block, _ := pem.Decode(text); block != nil {
			w.canaries.keep("private key "+filepath.Base(name), string(block.Bytes[36:68])) // the number itself; before and behind it is what everybody knows
		} else if strings.HasSuffix(name, ".nk") {
			w.canaries.keep("seed "+filepath.Base(name), strings.TrimSpace(string(text))[4:])
		}
	}
}

// listen hears everything that goes over NATS.
func (w *watch) listen(as nkeys.KeyPair, config *tls.Config) {
	public, _ := as.PublicKey()
	conn, err := nats.Connect("tls://"+w.at(0), nats.Secure(config), nats.Nkey(public, as.Sign))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(conn.Close)
	if _, err := conn.Subscribe(">", func(m *nats.Msg) {
		w.hear("NATS, "+strings.Join(strings.SplitN(m.Subject, ".", 4)[:min(3, strings.Count(m.Subject, ".")+1)], "."), fmt.Appendf(nil, "%s %s %v %s", m.Subject, m.Reply, m.Header, m.Data))
	}); err != nil {
		w.t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// readAll asks everything that can be asked: every procedure of the admin API that reads, every page, the command line.
func (w *watch) readAll(token, clientKey string) {
	auth := []string{"Authorization", "Bearer " + token}
	for _, procedure := range procedures() {
		body := "{}"
		if strings.HasSuffix(procedure, "/GetProvider") {
			body = `{"id":"entered"}`
		}
		if strings.HasSuffix(procedure, "/GetLimit") {
			body = `{"scope":"all"}`
		}
		if status, text := w.ask("POST", w.admin+procedure, body, auth...); status != http.StatusOK {
			w.t.Errorf("%s: %d %s", procedure, status, text)
		}
	}
	for _, page := range []string{"/", "/metrics", "/healthz", "/livez", "/readyz", "/debug/table", "/debug/fleet", "/nothing-here"} {
		w.ask("GET", w.admin+page, "", auth...)
	}
	for i, node := range w.nodes {
		for _, page := range []string{"/providers", "/config", "/health", "/metrics", "/v1/models", "/livez", "/readyz", "/nothing-here"} {
			if status, text := w.ask("GET", node+page, "", "X-Api-Key", clientKey); status != http.StatusOK && page != "/nothing-here" {
				w.t.Errorf("%s: %d %s", page, status, text)
			}
		}
		debug := "https://" + w.at(31+i)
		_, index := w.ask("GET", debug+"/", "", auth...)
		pages := []string{"/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1", "/debug/pprof/threadcreate?debug=1"}
		for page := range strings.FieldsSeq(index) {
			if strings.HasPrefix(page, "/") && !strings.Contains(page, "pprof") {
				pages = append(pages, page)
			}
		}
		for _, page := range pages {
			if status, text := w.ask("GET", debug+page, "", auth...); status != http.StatusOK {
				w.t.Errorf("%s: %d %s", page, status, text)
			}
		}
	}
	for _, words := range []string{
		"provider list", "provider get first", "provider get entered", "provider get " + decoy, "key list", "team list", "auth get", "routing get", "node list", "table", "limit list", "health", "usage",
		"webhook list", "token list", "token whoami", "audit", "top", "explain",
	} {
		for _, form := range []string{"text", "json"} {
			out, err := w.command(w.t, token, append(strings.Fields(words), "-o", form)...)
			if err != nil && words != "explain" {
				w.t.Errorf("aimux %s: %v %s", words, err, out)
			}
			w.hear("aimux "+words, []byte(out))
		}
	}
}

// procedures are those of the admin API that read.
func procedures() (all []string) {
	for _, file := range []protoreflect.FileDescriptor{
		adminv1.File_aimux_admin_v1_admin_proto, adminv1.File_aimux_admin_v1_audit_proto, adminv1.File_aimux_admin_v1_keys_proto, adminv1.File_aimux_admin_v1_limits_proto,
		adminv1.File_aimux_admin_v1_tokens_proto, adminv1.File_aimux_admin_v1_usage_proto, adminv1.File_aimux_admin_v1_webhooks_proto,
	} {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				if name := string(method.Name()); !method.IsStreamingServer() && (strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "List") || strings.HasPrefix(name, "WhoAmI")) {
					all = append(all, "/"+string(service.FullName())+"/"+name)
				}
			}
		}
	}
	return all
}

// collect gathers what nobody tells but keeps: logs, files, the collector's spans, Redis's contents, the words that processes were started with.
func (w *watch) collect() {
	w.saveRedis()
	w.loseRedis()
	if out, err := w.command(w.t, w.firstToken, "provider", "override", decoy, "drain"); err != nil {
		w.t.Errorf("%v %s", err, out)
	}
	eventually(w.t, "a webhook is told of the decoy", func() error {
		if text := w.plan.upstream.(*tattler).told(); !bytes.Contains(text, []byte(decoy)) {
			return fmt.Errorf("so far %s", text)
		}
		return nil
	})
	w.hear("what a webhook is told", w.plan.upstream.(*tattler).told())
	for _, name := range []string{"stray-controlplane.log", "stray-dataplane.log"} {
		eventually(w.t, name+" says that something is missing", func() error {
			text, err := os.ReadFile(filepath.Join(w.dir, name))
			if err == nil && len(text) < 100 {
				err = fmt.Errorf("so far %q", text)
			}
			return err
		})
	}
	var spans []byte
	eventually(w.t, "the collector has the spans of both nodes and of the control plane", func() error {
		text, err := os.ReadFile(w.spans)
		for _, word := range []string{proofOfSight, "aimux-controlplane", `"stringValue":"node-1"`, `"stringValue":"node-2"`} {
			if err == nil && !bytes.Contains(text, []byte(word)) {
				err = fmt.Errorf("%s is not in %d bytes", word, len(text))
			}
		}
		spans = text
		return err
	})
	w.hear("the collector's spans", spans)
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // files come and go under a running cluster
		}
		name, _ := filepath.Rel(w.dir, path)
		if info, err := entry.Info(); err == nil && info.Mode().Perm()&0o077 != 0 && !strings.HasSuffix(name, ".log") && !strings.HasPrefix(name, "jetstream") && name != "dump.rdb" {
			w.t.Errorf("%s is open to others: %v", name, info.Mode())
		}
		if slices.ContainsFunc(theirs, func(pattern string) bool { its, _ := filepath.Match(pattern, name); return its }) {
			return nil
		}
		text, err := os.ReadFile(path)
		w.hear("file "+name, text)
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	w.readWords()
}

// readWords reads the words that processes were started with, and wants no process below a plane.
func (w *watch) readWords() {
	seen := 0
	words, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range words {
		if text, err := os.ReadFile(name); err == nil && bytes.Contains(text, []byte(w.dir)) {
			seen++
			w.hear("a process's words", text)
			if children, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "task", "*", "children")); bytes.Contains(text, []byte("plane\x00")) {
				for _, list := range children {
					if pids, err := os.ReadFile(list); err == nil && len(pids) > 0 {
						w.t.Errorf("a plane has children, who inherit its environment: %s", pids)
					}
				}
			}
		}
	}
	if seen < 5 {
		w.t.Errorf("the words of %d processes were read", seen)
	}
}

// saveRedis has Redis write all that it holds to a file, uncompressed.
func (w *watch) saveRedis() {
	ctx, stop := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer stop()
	own := w.fortress.client
	for _, words := range [][]string{{"CONFIG", "SET", "rdbcompression", "no"}, {"SAVE"}} {
		cli := exec.CommandContext(ctx, "redis-cli", append([]string{"--tls", "--cacert", own.CA, "--cert", own.Cert, "--key", own.Key, "-p", fmt.Sprint(w.port + 1)}, words...)...)
		cli.Env = []string{"REDISCLI_AUTH=" + w.plan.redisPassword, "PATH=" + os.Getenv("PATH")}
		if out, err := cli.CombinedOutput(); err != nil || !strings.Contains(string(out), "OK") {
			w.t.Errorf("redis-cli %v: %v %s", words, err, out)
		}
	}
}

// loseRedis ends Redis, so that the nodes say what they think of that.
func (w *watch) loseRedis() {
	if err := w.redis.Process.Kill(); err != nil {
		w.t.Error(err)
	}
	eventually(w.t, "a node says that Redis is gone", func() error {
		w.says(0, decoy+"/text", "Hello!", false, "Authorization", "Bearer "+w.good)
		text, err := os.ReadFile(filepath.Join(w.dir, "node-1.log"))
		if err == nil && !bytes.Contains(text, []byte("the store of limits does not answer")) {
			err = errors.New("not yet")
		}
		return err
	})
}

// judge looks for every canary in everything that was heard.
func (w *watch) judge() {
	w.mu.Lock()
	defer w.mu.Unlock()
	total := 0
	for _, place := range slices.Sorted(maps.Keys(w.heard)) {
		text := w.heard[place]
		total += len(text)
		for i, seen := range w.canaries.in(text) {
			if i == 5 {
				w.t.Errorf("%s: and more", place)
				break
			}
			w.t.Errorf("%s shows %s", place, seen)
		}
	}
	w.t.Logf("looked for %d secrets in %d places, %d kB", w.canaries.count, len(w.heard), total>>10)
	var decoys canaries
	decoys.keep("the decoy", decoy)
	for _, place := range []string{
		"NATS, aimux.v1.local", "NATS, $KV.AIMUX_CONFIG.catalog", "file cp-1.log", "file node-1.log", "file dump.rdb", "file cp-1/fleet.snapshot", "file node-1/table", "the collector's spans",
		"what a webhook is told", "answers to GET metrics", "answers to GET debug", "answers to GET providers", "answers to POST aimux.admin.v1.ProviderService", "aimux provider list", "aimux audit", "aimux health",
	} {
		if len(decoys.in(w.heard[place])) == 0 {
			w.t.Errorf("%s: in %d bytes not even the decoy is seen", place, len(w.heard[place]))
		}
	}
}
