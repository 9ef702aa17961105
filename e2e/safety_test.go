package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// ability is what a request may need, as bits.
type ability uint

const (
	vision ability = 1 << iota
	pdf
	tools
	thinking
	schema
	streaming
	length // more than 8,000 tokens
	abilitiesEnd
)

var abilityNames = map[ability]string{vision: "vision", pdf: "pdf", tools: "tools", thinking: "thinking", schema: "json_schema", streaming: "streaming", length: "length"}

const allAbilities = abilitiesEnd - 1

// motley are the providers of the run: what each can do, and how it fails.
var motley = []struct {
	id, wire, fault string
	can             ability
}{
	{"all-anthropic", "anthropic", "status=500&share=0.05", allAbilities},
	{"all-openai", "openai", "reset&after=0&share=0.05", allAbilities},
	{"blind", "anthropic", "status=529&share=0.1", allAbilities &^ (vision | pdf)},
	{"dumb", "openai", "error-in-200&share=0.1", allAbilities &^ tools},
	{"hasty", "openai", "cut&after=0&share=0.1", allAbilities &^ thinking},
	{"free", "anthropic", "garbage&after=0&share=0.1", allAbilities &^ schema},
	{"whole", "openai", "html-error&share=0.1", allAbilities &^ streaming},
	{"short", "anthropic", "abort&after=0&share=0.1", allAbilities &^ length},
	{"text", "openai", "status=503&share=0.2", streaming},
	{"nothing", "anthropic", "", 0},
}

// TestNoRequestReachesAProviderThatCannot sends 10,000 random requests of both dialects, while providers of different abilities fail in
// different ways and the balancer changes, and looks at what each provider received: never a request, on whatever attempt, that needs what the provider cannot do. Over any ten
// seconds retries stay within a tenth of the requests, and hedges within a twentieth.
func TestNoRequestReachesAProviderThatCannot(t *testing.T) {
	if testing.Short() {
		t.Skip("its figures need a quiet machine: make chaos")
	}
	requests := 10_000
	if testing.Short() {
		requests = 1_000
	}
	providers, can := map[string]any{}, map[string]ability{}
	for _, one := range motley {
		settings := able(one.wire, names(one.can)...)
		settings["supports_streaming"], settings["recorded"] = one.can&streaming != 0, 4*requests
		settings["max_failures"] = 1000 // a circuit that opens keeps providers out of the test
		window := 200_000
		if one.can&length == 0 {
			window = 8_000
		}
		settings["models"] = []any{map[string]any{"id": "m", "context_window": window, "max_output_tokens": 4000}}
		providers[one.id], can[one.id] = settings, one.can
	}
	house := open(t, Forms[0], providers)
	for _, one := range motley {
		if err := house.Upstream[one.id].Behave(one.fault); err != nil {
			t.Fatal(err)
		}
	}
	budget := house.watchBudget(t)
	served, balancers := 0, []string{"adaptive", "round_robin", "weighted", "least_connections"}
	for i, balancer := range balancers {
		house.reroute(t, func(r *adminv1.Routing) { r.LoadBalancer = balancer })
		part := requests / len(balancers)
		served += house.flood(t, i*part, part, 24)
	}
	budget.stop()

	attempts, seen := 0, map[string]bool{}
	for id, up := range house.Upstream {
		if n := up.Stats().Unrecorded; n > 0 {
			t.Fatalf("%s has forgotten %d requests", id, n)
		}
		for _, got := range up.Received() {
			attempts++
			needs, marked := marks(got.Body)
			if lacks := (needs | shows(got.Body)) &^ can[id]; lacks != 0 || !marked {
				t.Errorf("%s cannot do %v, and received %.200s", id, names(lacks), got.Body)
			}
			seen[id] = true
		}
	}
	if len(seen) != len(motley) { // in turn, everybody is asked, however slow it once was
		t.Errorf("only %v took part", slices.Sorted(maps.Keys(seen)))
	}
	t.Logf("%d requests, %d attempts, %d served, most retries in 10 s %.1f %%, most hedges %.1f %%", requests, attempts, served, 100*budget.retries, 100*budget.hedges)
	if served < requests*95/100 {
		t.Errorf("only %d of %d requests were served", served, requests)
	}
}

// TestHedgesStayWithinTheirShare has both providers keep three first tokens in ten back for seconds, so that far more hedges are wanted than there
// may be: over any ten seconds they stay within a twentieth of the requests, and all requests are answered.
func TestHedgesStayWithinTheirShare(t *testing.T) {
	providers := map[string]any{}
	for _, id := range []string{"a", "b"} {
		settings := serves(compatible("openai"), "text")
		settings["max_failures"], settings["avg_response_time_ms"] = 1000, 20
		providers[id] = settings
	}
	house := openRouted(t, Forms[0], map[string]any{"load_balancer": "round_robin"}, providers)
	for id := range providers {
		if err := house.Upstream[id].Behave("first=4s&share=0.3"); err != nil {
			t.Fatal(err)
		}
	}
	budget := house.watchBudget(t)
	load := house.keepAsking(t, 40)
	eventually(t, "the run goes on", func() error {
		if done := load.done(); done < 300 {
			return fmt.Errorf("%d requests", done)
		}
		return nil
	})
	load.stop()
	budget.stop()
	figures := house.counters(t)
	if figures["aimux_hedges_total"] < 2 || figures["aimux_hedges_denied_total"] == 0 {
		t.Errorf("%v hedges, and %v denied", figures["aimux_hedges_total"], figures["aimux_hedges_denied_total"])
	}
	t.Logf("%d requests, %v hedges, %v denied", load.done(), figures["aimux_hedges_total"], figures["aimux_hedges_denied_total"])
}

func names(set ability) []string {
	var list []string
	for bit := ability(1); bit < abilitiesEnd; bit <<= 1 {
		if set&bit != 0 {
			list = append(list, abilityNames[bit])
		}
	}
	return list
}

// flood sends random requests of seeds from one on, so many at a time, and counts those that were served.
func (h *House) flood(t *testing.T, from, requests, atOnce int) (served int) {
	t.Helper()
	type outcome struct {
		ok      bool
		problem string
	}
	work, done := make(chan uint64), make(chan outcome)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for seed := range work {
				ok, problem := h.one(t.Context(), client, seed)
				done <- outcome{ok, problem}
			}
		})
	}
	go func() {
		for seed := range uint64(requests) {
			work <- uint64(from) + seed
		}
		close(work)
		all.Wait()
		close(done)
	}()
	for one := range done {
		if one.ok {
			served++
		}
		if one.problem != "" {
			t.Error(one.problem)
		}
	}
	return served
}

// one sends one random request. A failure of the providers may come through; what the gateway must not do is a problem.
func (h *House) one(ctx context.Context, client *http.Client, seed uint64) (ok bool, problem string) {
	protocol, body, err := random(rand.New(rand.NewPCG(seed, 7)))
	if err != nil {
		return false, err.Error()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Data[0]+streets[protocol], strings.NewReader(body))
	if err != nil {
		return false, err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false, fmt.Sprintf("request %d: %v", seed, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return false, fmt.Sprintf("request %d: %v", seed, err)
	case response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests:
		return false, fmt.Sprintf("request %d: %d %s: %.200s", seed, response.StatusCode, text, body)
	}
	return response.StatusCode == http.StatusOK, ""
}

// random makes a request whose text says what it needs: "[needs 1f]", the abilities as bits.
func random(dice *rand.Rand) (protocol, body string, err error) {
	var needs ability
	for _, one := range []struct {
		bit   ability
		share float64
	}{{vision, .2}, {pdf, .1}, {tools, .3}, {thinking, .15}, {schema, .1}, {streaming, .4}, {length, .05}} {
		if dice.Float64() < one.share {
			needs |= one.bit
		}
	}
	if needs&thinking != 0 {
		needs &^= schema // that some do one without the other is another matter
	}
	text := fmt.Sprintf("[needs %x] Good morning!", uint(needs))
	if needs&length != 0 {
		text += strings.Repeat(" lorem ipsum dolor", 4000)
	}
	protocol = []string{"anthropic", "openai"}[dice.IntN(2)]
	fields := map[string]any{"model": []string{"m", "anything-at-all"}[dice.IntN(2)], "max_tokens": 1000}
	if needs&streaming != 0 {
		fields["stream"] = true
	}
	if protocol == "anthropic" {
		asAnthropic(fields, needs, text, dice)
	} else {
		asOpenAI(fields, needs, text, dice)
	}
	document, err := json.Marshal(fields)
	return protocol, string(document), err
}

type fields = map[string]any

// A document of one empty page, as far as anybody here looks.
const page = "JVBERi0xLjQKJSVFT0YK"

func asAnthropic(f fields, needs ability, text string, dice *rand.Rand) {
	content := []any{fields{"type": "text", "text": text}}
	image := fields{"type": "image", "source": fields{"type": "base64", "media_type": "image/png", "data": dot}}
	nested := needs&vision != 0 && needs&tools != 0 && dice.IntN(2) == 0
	if needs&vision != 0 && !nested {
		content = append(content, image)
	}
	if needs&pdf != 0 {
		content = append(content, fields{"type": "document", "source": fields{"type": "base64", "media_type": "application/pdf", "data": page}})
	}
	messages := []any{fields{"role": "user", "content": content}}
	if needs&tools != 0 {
		f["tools"] = []any{fields{"name": "look", "input_schema": fields{"type": "object"}}}
		result := []any{fields{"type": "text", "text": "seen"}}
		if nested {
			result = append(result, image)
		}
		if nested || dice.IntN(2) == 0 {
			messages = append(messages,
				fields{"role": "assistant", "content": []any{fields{"type": "tool_use", "id": "toolu_1", "name": "look", "input": fields{}}}},
				fields{"role": "user", "content": []any{fields{"type": "tool_result", "tool_use_id": "toolu_1", "content": result}}})
		}
	}
	if needs&thinking != 0 {
		f["max_tokens"], f["thinking"] = 3900, fields{"type": "adaptive"}
		f["output_config"] = fields{"effort": "high"}
	}
	if needs&schema != 0 {
		f["output_config"] = fields{"format": fields{"type": "json_schema", "schema": fields{"type": "object"}}}
	}
	f["messages"] = messages
}

func asOpenAI(f fields, needs ability, text string, dice *rand.Rand) {
	content := []any{fields{"type": "text", "text": text}}
	if needs&vision != 0 {
		content = append(content, fields{"type": "image_url", "image_url": fields{"url": "data:image/png;base64," + dot}})
	}
	if needs&pdf != 0 {
		content = append(content, fields{"type": "file", "file": fields{"filename": "a.pdf", "file_data": "data:application/pdf;base64," + page}})
	}
	messages := []any{fields{"role": "user", "content": content}}
	if needs&tools != 0 {
		if dice.IntN(2) == 0 {
			f["tools"] = []any{fields{"type": "function", "function": fields{"name": "look", "parameters": fields{"type": "object"}}}}
		} else { // offered once, and only in the history now
			messages = append(messages,
				fields{"role": "assistant", "content": "", "tool_calls": []any{fields{"id": "call_1", "type": "function", "function": fields{"name": "look", "arguments": "{}"}}}},
				fields{"role": "tool", "tool_call_id": "call_1", "content": "seen"})
		}
	}
	if needs&thinking != 0 {
		f["reasoning_effort"] = "high"
	}
	if needs&schema != 0 {
		f["response_format"] = fields{"type": "json_schema", "json_schema": fields{"name": "answer", "schema": fields{"type": "object"}}}
	}
	f["messages"] = messages
}

// marks reads what the text of a request says of its needs, which passes every translation.
func marks(body []byte) (needs ability, marked bool) {
	_, rest, found := strings.Cut(string(body), "[needs ")
	var bits uint
	if !found {
		return 0, false
	}
	if _, err := fmt.Sscanf(rest, "%x]", &bits); err != nil {
		return 0, false
	}
	return ability(bits), true
}

// shows reads what a request needs from its form, in either dialect.
func shows(body []byte) (needs ability) {
	for form, bit := range map[string]ability{
		`"type":"image"`: vision, `"image_url"`: vision, `application/pdf`: pdf, `"tools":[`: tools, `"tool_calls":[`: tools, `"tool_use"`: tools,
		`"stream":true`: streaming, `"json_schema"`: schema, `"effort":"high"`: thinking, `"reasoning_effort":"high"`: thinking, `"budget_tokens"`: thinking,
	} {
		if strings.Contains(string(body), form) {
			needs |= bit
		}
	}
	return needs
}

// budgetWindow is the time that a budget looks back on.
const budgetWindow = 10 * time.Second

// budget is the largest share of extra attempts that was seen over ten seconds.
type budget struct {
	retries, hedges float64
	readings        []reading
	stop            func()
}

// reading is what a node had counted at a moment.
type reading struct {
	at                        time.Time
	requests, retries, hedges float64
}

// watchBudget reads the node's counters ten times a second, and holds every window of ten seconds to the budgets.
func (h *House) watchBudget(t *testing.T) *budget {
	t.Helper()
	b, over, ended := &budget{}, make(chan struct{}), make(chan struct{})
	b.look(t, h)
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				b.look(t, h)
			case <-over:
				return
			}
		}
	}()
	b.stop = sync.OnceFunc(func() { close(over); <-ended; b.look(t, h) })
	t.Cleanup(b.stop)
	return b
}

// look reads the counters, and compares them with those of ten seconds before, or of the beginning. A grant is judged by the requests of the ten
// seconds that end at it, so what was granted in these ten seconds goes by the requests of the last twenty.
func (b *budget) look(t testing.TB, h *House) {
	t.Helper()
	figures := h.counters(t)
	now := reading{
		time.Now(), figures["aimux_requests_total"] + figures["aimux_requests_in_flight"], figures["aimux_retries_total"], figures["aimux_hedges_total"],
	}
	b.readings = append(b.readings, now)
	then, before := b.since(now.at.Add(-budgetWindow)), b.since(now.at.Add(-2*budgetWindow))
	// What is counted while the counters are read is not of one moment.
	const slack = 5
	requests := now.requests - before.requests
	retries, hedges := now.retries-then.retries, now.hedges-then.hedges
	if retries > max(10, requests/10)+slack || hedges > max(2, requests/20)+slack {
		t.Errorf("%v retries and %v hedges in %v beside %v requests since %v before", retries, hedges, now.at.Sub(then.at), requests, then.at.Sub(before.at))
	}
	if requests > 1000 {
		b.retries, b.hedges = max(b.retries, retries/requests), max(b.hedges, hedges/requests)
	}
}

// since is the last reading that is as old as that, or the first.
func (b *budget) since(at time.Time) reading {
	then := b.readings[0]
	for _, earlier := range b.readings {
		if !earlier.at.After(at) {
			then = earlier
		}
	}
	return then
}

// counters are the sums of all series of each name at the first node, from one scrape.
func (h *House) counters(t testing.TB) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for line := range strings.Lines(scrape(t, h.Data[0])) {
		series, value, ok := strings.Cut(line, " ")
		name, _, _ := strings.Cut(series, "{")
		var one float64
		if _, err := fmt.Sscan(value, &one); ok && err == nil {
			sums[name] += one
		}
	}
	return sums
}

// scrape reads a node's metrics.
func scrape(t testing.TB, node string) string {
	t.Helper()
	response, err := http.Get(node + "/metrics")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}
