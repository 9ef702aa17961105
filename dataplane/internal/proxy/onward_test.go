package proxy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/shared/fault"
)

func continuing(c *tablev1.Config, _ *Config) {
	c.Policy.Continuation, c.Policy.HedgeShare, c.Policy.IdleTimeoutMs = true, 0, 300
}

const story = "Once upon a time there was a mill. It ran slowly, past the “old” town, and 水 fell on the wheel until dusk. "

func says(more string) string { return "say=" + url.PathEscape(story) + more }

// words is the text of a client's stream, the kinds of its events in order, and how it names itself.
func words(t *testing.T, protocol, body string) (text, kinds string, ids map[string]bool) {
	t.Helper()
	ids = map[string]bool{}
	for line := range strings.SplitSeq(body, "\n") {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var e struct {
			Type, ID string
			Message  struct{ ID string }
			Delta    struct{ Text string }
			Choices  []struct {
				Delta struct{ Role, Content string }
			}
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		if protocol == "anthropic" {
			kinds += " " + e.Type
			text += e.Delta.Text
			if e.Message.ID != "" {
				ids[e.Message.ID] = true
			}
			continue
		}
		ids[e.ID] = true
		for _, c := range e.Choices {
			text += c.Delta.Content
			if c.Delta.Role != "" {
				kinds += " role"
			}
		}
	}
	return text, kinds, ids
}

// A stream of plain text that breaks goes on at the next provider, whatever formats the three speak: to the client it is one answer.
func TestGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"cut", "abort", "reset", "stall", "error-mid-stream", "garbage"} {
		for _, client := range []string{"openai", "anthropic"} {
			for _, first := range []string{"openai", "anthropic"} {
				for _, second := range []string{"openai", "anthropic"} {
					if broken != "reset" && first != client && second != client {
						continue // one break is enough there
					}
					t.Run(strings.Join([]string{broken, client, first, second}, "/"), func(t *testing.T) {
						t.Parallel()
						r := newRig(t, []backend{
							{id: "sick", protocol: first, scenario: says("+token=2ms+after=9+" + broken)},
							{id: "well", protocol: second, scenario: says("")},
						}, continuing)
						a := r.ask(client, true)
						if a.err != nil || a.status != 200 || !ended(client, true, a.body) || strings.Contains(a.body, `"error"`) {
							t.Fatalf("status %d, error %v, body %q", a.status, a.err, a.body)
						}
						text, kinds, ids := words(t, client, a.body)
						if text != story {
							t.Errorf("the client has %q", text)
						}
						if len(ids) != 1 || strings.Count(kinds, "message_start") > 1 || strings.Count(kinds, "content_block_start") > 1 || strings.Count(kinds, " role") > 1 {
							t.Errorf("ids %v, events%s", ids, kinds)
						}
						rec := r.last(1)
						if rec.Fault != fault.None || rec.Reason != "continued" || len(rec.Attempts) != 2 || rec.Attempts[0].Fault.OK() || !rec.Attempts[1].Fault.OK() {
							t.Errorf("record: %s", told(rec))
						}
						if got, want := rec.Usage.Output, rec.Attempts[0].Usage.Output+rec.Attempts[1].Usage.Output; got != want || rec.Attempts[0].Usage.Output < 3 {
							t.Errorf("usage %d, want %d of both: %s", got, want, told(rec))
						}
						if got := r.get("/metrics").body; !strings.Contains(got, "aimux_continuations_total 1") {
							t.Error("it was not counted")
						}
					})
				}
			}
		}
	}
}

// Where nobody can go on, or nobody may, the stream ends with the format's own error, as ever.
func TestDoesNotGoOn(t *testing.T) {
	t.Parallel()
	const tools = `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`
	cutThere := says("+token=2ms+after=9+cut")
	for name, row := range map[string]struct {
		sick, well string
		more       string // of the request
		change     func(c *tablev1.Config, _ *Config)
	}{
		"switched off":        {cutThere, says(""), "", func(c *tablev1.Config, _ *Config) { c.Policy.Continuation = false }},
		"tools are offered":   {cutThere, says(""), tools, nil},
		"a form is asked for": {cutThere, says(""), `,"response_format":{"type":"json_object"}`, nil},
		"two choices":         {cutThere, says(""), `,"n":2`, nil},
		"it had reasoned":     {says("+thinking+token=2ms+after=16+cut"), says(""), "", nil},
		"nobody is known to": {cutThere, says(""), "", func(c *tablev1.Config, _ *Config) {
			c.Providers[0].Models[0].Has, c.Providers[1].Models[0].Has = 1<<4, 1<<4
		}},
		"the other fails too":  {cutThere, "status=500", "", nil},
		"the other breaks too": {cutThere, says("+token=2ms+after=3+cut"), "", func(c *tablev1.Config, _ *Config) { c.Policy.RetryShare = 0.01 }},
		"no retry is left":     {cutThere, says(""), "", func(c *tablev1.Config, _ *Config) { c.Policy.RetryShare = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := []rigOption{continuing}
			if row.change != nil {
				options = append(options, row.change)
			}
			r := newRig(t, []backend{{id: "sick", protocol: "openai", scenario: row.sick}, {id: "well", protocol: "openai", scenario: row.well}}, options...)
			a := r.post("/v1/chat/completions", fmt.Sprintf(openAIAsk, `,"stream":true`+row.more))
			if a.err != nil || a.status != 200 || ended("openai", true, a.body) || strings.Count(a.body, `"error"`) != 1 {
				t.Errorf("status %d, error %v, body %q", a.status, a.err, a.body)
			}
			if rec := r.last(1); rec.Fault == fault.None {
				t.Errorf("record: %s", told(rec))
			}
			if text, _, _ := words(t, "openai", a.body[:strings.Index(a.body, `data: {"error"`)]); !strings.HasPrefix(story, text) {
				t.Errorf("the client has %q", text)
			}
		})
	}
}

// A head that was sent for patience's sake binds nobody: as long as the client has no word, another provider may answer.
func TestGoesOnFromNothing(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"openai", "anthropic"} {
		r := newRig(t, []backend{{id: "sick", protocol: protocol, scenario: "stall&after=1"}, {id: "well", protocol: protocol, scenario: says("")}}, continuing,
			func(c *tablev1.Config, n *Config) { c.Policy.FirstTokenTimeoutMs, n.HoldMax = 400, 100_000_000 })
		a := r.ask(protocol, true)
		if text, _, ids := words(t, protocol, a.body); text != story || len(ids) != 1 || !ended(protocol, true, a.body) || !strings.HasPrefix(a.body, ": ping") {
			t.Errorf("%q", a.body)
		}
		if rec := r.last(1); rec.Fault != fault.None || len(rec.Attempts) != 2 || rec.Reason != "failover" {
			t.Errorf("record: %s", told(rec))
		}
	}
}
