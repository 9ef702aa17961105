package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tattler is a provider that quotes the key that it was sent wherever it can.
type tattler struct {
	http.Handler // when it has nothing to tell
	mode         atomic.Value

	mu    sync.Mutex
	hooks []byte // guarded by mu: what was sent to a webhook, heads included
}

// told is what webhooks were told.
func (s *tattler) told() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks
}

func (s *tattler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/hooks/") {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hooks = fmt.Appendf(s.hooks, "%v %s\n", r.Header, body)
		return
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if key == "" {
		key = r.Header.Get("X-Api-Key")
	}
	text := fmt.Sprintf(`{"type":"error","error":{"type":"api_error","message":"Incorrect API key provided: %s, or so"}}`, key)
	var status int
	switch s.mode.Load() {
	case "refuses":
		status = http.StatusUnauthorized
	case "fails":
		status = http.StatusInternalServerError
	case "is busy":
		status = http.StatusTooManyRequests
	case "is asked wrongly":
		status = http.StatusBadRequest
	case "shows a page":
		status, text = http.StatusBadGateway, "<html><title>"+key+"</title>"+key
	case "redirects":
		status = http.StatusTemporaryRedirect
		w.Header().Set("Location", "https://elsewhere.example/?key="+key)
	case "breaks off":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: error\ndata: %s\n\n", text)
		return
	case "speaks in tongues":
		fmt.Fprintf(w, "%s\x00%s", key, key)
		return
	default:
		s.Handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("X-Your-Key", key)
	w.Header().Set("Request-Id", key)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// watch is a fortress in which canaries sit, and all that was heard of it.
type watch struct {
	*fortress
	t        *testing.T
	canaries canaries
	client   *http.Client
	spans    string // the collector's file
	// good is a JWT that the nodes trust, bad one of somebody else.
	good, bad string

	mu    sync.Mutex // protects below
	heard map[string][]byte
}

// hear keeps what a place says.
func (w *watch) hear(place string, text []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[place] = append(append(w.heard[place], '\n'), text...)
}

// ask sends a request, and keeps the answer with its head.
func (w *watch) ask(method, url, body string, headers ...string) (status int, text string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := w.client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Logf("%s %s: %v", method, r.URL.Path, err)
	}
	w.hear("answers to "+method+" "+strings.SplitN(r.URL.Path, "/", 3)[1], fmt.Appendf(nil, "%d %v %s", answer.StatusCode, answer.Header, all))
	return answer.StatusCode, string(all)
}

// says asks a model, at a node, with something in the prompt.
func (w *watch) says(node int, model, prompt string, stream bool, headers ...string) (int, string) {
	w.t.Helper()
	return w.ask("POST", w.nodes[node]+"/v1/messages", fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":64,"messages":[{"role":"user","content":%q}]}`, model, stream, prompt), headers...)
}

// TestCanaries puts a secret everywhere where somebody may put one, right or wrong, in a cluster that logs and traces all that it can, has the provider quote its
// key and whatever else goes wrong, and then looks for every piece of every one of them in all that anybody says or keeps.
func TestCanaries(t *testing.T) {
	w := openWatch(t)
	token := w.firstToken
	admin := func(args ...string) string {
		t.Helper()
		out, err := w.command(t, token, args...)
		if err != nil {
			t.Errorf("aimux %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	// Whoever makes a key is shown it, once; where it is for show its head stands, aimux_ID_.
	keep := func(name, out string) string {
		t.Helper()
		for word := range strings.FieldsSeq(out) {
			if strings.HasPrefix(word, "aimux_") || strings.HasPrefix(word, "aimuxadm_") {
				w.canaries.keep(name, word[strings.LastIndexByte(word, '_')+1:])
				return word
			}
		}
		t.Fatalf("no key in %q", out)
		return ""
	}
	clientKey := keep("client key", admin("key", "create", "ci"))
	token = keep("admin token", admin("token", "create", "robot", "--role", "admin"))
	w.misuse(clientKey)
	w.write(token)
	w.breakAll(clientKey)
	w.readAll(token, clientKey)
	w.collect()
	w.judge()
}

// misuse asks the nodes with keys that are right, wrong, and in places where none belongs.
func (w *watch) misuse(clientKey string) {
	c := &w.canaries
	good := []string{"Authorization", "Bearer " + clientKey}
	for node := range w.nodes {
		for _, headers := range [][]string{good, {"X-Api-Key", clientKey}, {"Authorization", "Bearer " + w.good}} {
			if status, text := w.says(node, "first/text", "Hello!", node == 0, headers...); status != http.StatusOK {
				w.t.Errorf("with %s: %d %s", headers[0], status, text)
			}
		}
		place := fmt.Sprint(" at node ", node+1)
		for name, headers := range map[string][]string{
			"wrong key as bearer": {"Authorization", "Bearer " + c.plant("wrong key as bearer"+place)}, "wrong key": {"X-Api-Key", c.plant("wrong key" + place)},
			"wrong key of our form": {"X-Api-Key", "aimux_ci_" + c.keep("wrong key of our form"+place, strings.ToLower(gibberish()+gibberish()))},
			"password":              {"Authorization", "Basic " + c.plant("password"+place)}, "bad JWT": {"Authorization", "Bearer " + w.bad},
			"JWT of ours, cut": {"X-Api-Key", w.good[:len(w.good)-6]},
		} {
			if status, _ := w.says(node, "first/text", "Hello!", false, headers...); status != http.StatusUnauthorized {
				w.t.Errorf("%s%s: %d", name, place, status)
			}
		}
		for _, name := range []string{"X-Goog-Api-Key", "Api-Key", "Cookie", "Proxy-Authorization", "User-Agent", "X-Request-Id", "Request-Id", "Tracestate", "Baggage", "Idempotency-Key", "Anthropic-Beta", "Anthropic-Version", "Referer", "X-Stainless-Os", "Openai-Organization"} {
			w.says(node, "first/text", "Hello!", false, append([]string{name, "key=" + c.plantShaped(name+place)}, good...)...)
		}
		w.ask("POST", w.nodes[node]+"/v1/messages?key="+c.plantShaped("query"+place)+"&api_key="+c.plantShaped("query 2"+place), hello, good...)
		w.ask("GET", w.nodes[node]+"/v1/"+c.plantShaped("path"+place)+"/messages", "", good...)
		w.ask("GET", w.nodes[node]+"/v1/models/"+c.plantShaped("model's path"+place), "", good...)
		w.ask("POST", w.nodes[node]+"/v1/messages", `{"model":"first/text","max_tokens":8,"metadata":{"user_id":"`+c.plantShaped("user"+place)+`"},"messages":[{"role":"user","content":"Hello!"}]}`, good...)
		w.ask("POST", w.nodes[node]+"/v1/messages", `{"model":"first/text","max_tokens":8,"`+c.plantShaped("field"+place)+`":1,"messages":[{"role":"`+c.plantShaped("role"+place)+`","content":"Hello!"}]}`, good...)
		w.ask("POST", w.nodes[node]+"/v1/messages", `{"`+c.plantShaped("broken JSON"+place), good...)
		w.says(node, c.plantShaped("model's name"+place), "Hello!", false, good...)
		w.says(node, "first/"+c.plantShaped("model's name behind a provider"+place), "Hello!", false, good...)
		w.says(node, "first/"+lorem, "My key is "+c.plantShaped("prompt"+place)+", keep it.", true, good...)
	}
	w.says(0, "first/"+lorem, "This nobody may read: "+c.plant("prompt where content is not traced"), false, good...)
	w.says(1, "first/"+lorem, "This may be read: "+proofOfSight, false, good...)
}

// decoy is the name of a provider, which is no secret: where it is not seen, nothing would be.
const decoy = "decoy-7q4xk2m9w5"

// lorem is a model that does not quote its prompt, as others may.
const lorem = "tokens=20"

// proofOfSight is in a prompt that the collector gets: if that is not seen, nothing is.
const proofOfSight = "a-prompt-that-may-be-read-7Q4X"

// write has the operator write down secrets, and make mistakes.
func (w *watch) write(token string) {
	c := &w.canaries
	set := func(refused bool, args ...string) {
		w.t.Helper()
		out, err := w.command(w.t, token, args...)
		w.hear("the command line", []byte(out))
		if refused != (err != nil) {
			w.t.Errorf("aimux %s: %v %s", strings.Join(args[:3], " "), err, out)
		}
	}
	provider := func(id, url, key string, refused bool) {
		w.t.Helper()
		set(refused, "provider", "set", id, "kind=compatible", "protocol=openai", "base_url="+url, "allow_private_address=true", "api_key="+key, `models=[{"id":"other"}]`)
	}
	provider("entered", w.upstream.URL, c.plant("key entered by hand"), false)
	provider("entered", w.upstream.URL, c.plant("key entered anew"), false)
	provider("password", "https://user:"+c.plantShaped("password in a base URL")+"@example.com/v1", "", true)
	provider("query", "https://example.com/v1?key="+c.plantShaped("query in a base URL"), "", true)
	provider("spaces", w.upstream.URL, c.plant("key with a space")+" "+c.plant("key behind a space"), true)
	provider("reference", w.upstream.URL, "env:"+strings.ToUpper(c.plantShaped("key for a name")), true)
	set(true, "provider", "set", "wrong", "api_kee="+c.plantShaped("key of an unknown setting"))
	set(false, "webhook", "set", "pager", "--url", w.upstream.URL+"/hooks/"+c.plant("token in a webhook's path")+"?token="+c.plant("token in a webhook's query"), "--secret", c.plant("webhook's secret"), "--allow-private-address")
	set(false, "webhook", "set", "pager", "--event", "alert", "--event", "transition")
	set(false, "webhook", "test", "pager")
	set(true, "webhook", "set", "odd", "--url", "https://user:"+c.plantShaped("password in a webhook")+"@example.com/", "--secret", c.plant("odd webhook's secret"))
	for _, wrong := range []string{"aimuxadm_first_" + c.keep("wrong admin token", strings.ToLower(gibberish()+gibberish())), c.plant("wrong admin token of no form"), w.bad} {
		if out, err := w.command(w.t, wrong, "provider", "list"); err == nil {
			w.t.Error(out)
		} else {
			w.hear("the command line", []byte(out))
		}
		w.ask("POST", w.admin+"/aimux.admin.v1.ProviderService/ListProviders?token="+c.plantShaped("query of the admin API"), "{}", "Authorization", "Bearer "+wrong)
	}
}

// breakAll has the provider quote its key in every way, at every node, plain and streamed, and takes the limits' store away.
func (w *watch) breakAll(clientKey string) {
	tattler := w.plan.upstream.(*tattler)
	for _, mode := range []string{"is asked wrongly", "is busy", "shows a page", "breaks off", "speaks in tongues", "redirects", "fails", "refuses"} {
		tattler.mode.Store(mode)
		for i := range 4 {
			for _, model := range []string{"first/text", decoy + "/text", "entered/other"} {
				w.says(i%2, model, "Hello!", i > 1, "X-Api-Key", clientKey)
			}
		}
	}
	tattler.mode.Store("")
}
