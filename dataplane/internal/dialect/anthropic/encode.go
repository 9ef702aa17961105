package anthropic

import (
	"strconv"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// The bounds of what this format takes, and what it gets where the client says nothing.
const (
	nameMax          = 64
	idMax            = 64
	defaultMaxTokens = 8192
	budgetMin        = 1024
	latestVersion    = "2026-10-21"
)

// EncodeRequest appends the body for a provider.
func (Dialect) EncodeRequest(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	out.Names.Reserve(r.Tools, nameMax)
	dst = append(dst, '{')
	dst = dialect.StringField(dst, "model", out.Target.Model)
	thinking := planThinking(r, out)
	dst = dialect.IntField(dst, "max_tokens", limit(r, out, thinking.budget))
	dst = encodeMessages(dst, r, out)
	dst = encodeTools(dst, r, out)
	dst = encodeSampling(dst, r, out, thinking.on())
	dst = encodeStops(dst, r, out)
	dst = encodeThinking(dst, &thinking)
	dst = encodeOutput(dst, r, out, &thinking)
	if len(r.User) > 0 && !out.Refuses("metadata") {
		dst = append(dialect.TextField(append(dialect.Key(dst, "metadata"), '{'), "user_id", r.User), '}')
	}
	dst = encodeService(dst, r, out)
	if out.Stream {
		dst = append(dialect.Key(dst, "stream"), "true"...)
	}
	for i := range r.Extra {
		if x := &r.Extra[i]; out.Takes(x.Path) && x.Value != nil {
			dst = dialect.ValueField(dst, x.Path, x.Value)
		} else {
			out.Notes.Lose(x)
		}
	}
	return append(dst, '}')
}

// limit is how long the answer may be: never 0, which would ask for no answer at all, and always more than the thinking.
func limit(r *dialect.Request, out *dialect.Outbound, budget int) int {
	most := out.Target.MaxOutputTokens
	n := r.MaxTokens
	switch {
	case n > 0:
	case out.Target.Sheet.OutputReserve > 0:
		n = out.Target.Sheet.OutputReserve
	case most > 0:
		n = most
	default:
		n = defaultMaxTokens
	}
	if n <= budget {
		n += budget
	}
	if most > 0 && n > most {
		if r.MaxTokens > most {
			out.Notes.Degrade("max_tokens", "clamped to the model's "+strconv.Itoa(most))
		}
		n = most
	}
	return n
}

func encodeSampling(dst []byte, r *dialect.Request, out *dialect.Outbound, thinking bool) []byte {
	fixed := out.Model != nil && out.Model.NoSampling || out.Target.APIVersion >= latestVersion
	for _, f := range [...]struct {
		name  string
		value dialect.Value
	}{{"temperature", r.Temperature}, {"top_p", r.TopP}, {"top_k", r.TopK}} {
		switch {
		case f.value == nil:
		case fixed || out.Refuses(f.name) || out.Ignores(f.name):
			out.Notes.Degrade(f.name, "the model does not take it")
		case thinking && thoughtful(f.name, f.value):
			out.Notes.Degrade(f.name, "cannot be set while the model thinks")
		case f.name == "top_p" && r.Temperature != nil && out.Target.Sheet.Kind == "anthropic":
			out.Notes.Degrade(f.name, "the model takes temperature or top_p, not both")
		case f.name == "temperature":
			dst = dialect.ValueField(dst, f.name, clampTemperature(f.value, out))
		default:
			dst = dialect.ValueField(dst, f.name, f.value)
		}
	}
	return dst
}

// thoughtful reports sampling that excludes thinking.
func thoughtful(name string, v dialect.Value) bool {
	n, _ := v.Float()
	switch name {
	case "temperature":
		return n != 1
	case "top_p":
		return n < 0.95
	}
	return true
}

func clampTemperature(v dialect.Value, out *dialect.Outbound) dialect.Value {
	low, high := out.Target.Sheet.TemperatureMin, out.Target.Sheet.TemperatureMax
	if high == 0 {
		high = 1
	}
	t, ok := v.Float()
	if !ok || t >= low && t <= high {
		return v
	}
	bound := strconv.AppendFloat(nil, min(max(t, low), high), 'g', -1, 64)
	out.Notes.Degrade("temperature", "clamped to "+string(bound))
	return bound
}

func encodeStops(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	begun := false
	for i, stop := range r.Stop {
		if strings.TrimSpace(stop.Plain()) == "" {
			out.Notes.Degrade(dialect.Path("stop", i), "white space cannot be a stop sequence")
			continue
		}
		if !begun {
			begun = true
			dst = append(dialect.Key(dst, "stop_sequences"), '[')
		}
		dst = dialect.AppendText(dialect.Item(dst), stop)
	}
	if begun {
		dst = append(dst, ']')
	}
	return dst
}

// plan is what is asked of the model's thinking.
type plan struct {
	kind   string // the type of thinking; empty leaves it out
	budget int
	effort string
}

func (p *plan) on() bool { return p.kind == "enabled" || p.kind == "adaptive" }

func effortBudget(effort string) int {
	switch effort {
	case "minimal", "low":
		return budgetMin
	case "medium":
		return 4096
	case "high":
		return 16384
	}
	return 32768
}

// planThinking turns what the client wants into what the model understands: an effort, or for older models a budget.
func planThinking(r *dialect.Request, out *dialect.Outbound) plan {
	t := &r.Thinking
	always := out.Model != nil && out.Model.AlwaysThinks
	if t.Mode == dialect.ThinkingUnset || out.Target.Lacks(route.Thinking) || out.Refuses("thinking") {
		if t.Mode != dialect.ThinkingUnset && t.Mode != dialect.ThinkingOff {
			out.Notes.Degrade("reasoning_effort", "the model does not think")
		}
		return plan{}
	}
	if t.Mode == dialect.ThinkingOff {
		if always {
			out.Notes.Degrade("reasoning_effort", "the model always thinks")
			return plan{}
		}
		return plan{kind: "disabled"}
	}
	if r.Choice.Mode == dialect.ChoiceAny || r.Choice.Mode == dialect.ChoiceOne {
		out.Notes.Degrade("reasoning_effort", "a forced tool call excludes thinking")
		return plan{}
	}
	p := modelPlan(t, out, always)
	if p.kind == "enabled" && unthought(r, out) {
		out.Notes.Degrade("reasoning_effort", "the thinking that led to the pending tool calls is not known any more")
		return plan{}
	}
	return p
}

func modelPlan(t *dialect.Thinking, out *dialect.Outbound, always bool) plan {
	set := out.Target.Efforts
	if set == nil && out.Model != nil {
		set = out.Model.Efforts
	}
	byEffort := set == nil || len(set) > 0
	p := plan{kind: "adaptive"}
	switch {
	case t.Mode == dialect.ThinkingBudget:
		return plan{kind: "enabled", budget: max(t.Budget, budgetMin)}
	case byEffort:
		if effort := t.Effort; effort != "" {
			if effort == "minimal" {
				effort = "low"
			}
			p.effort = dialect.ClampEffort(effort, set)
		}
	case out.Target.Sheet.ThinkingOn != "adaptive":
		p = plan{kind: "enabled", budget: effortBudget(t.Effort)}
	case t.Effort != "":
		out.Notes.Degrade("reasoning_effort", "the model has no such setting")
	}
	if always && p.kind == "adaptive" {
		p.kind = ""
	}
	if p.budget > 0 && out.Target.MaxOutputTokens > 0 {
		p.budget = max(min(p.budget, out.Target.MaxOutputTokens/2), budgetMin)
	}
	return p
}

// unthought reports tool calls in flight whose thinking cannot be given back: models that think by budget refuse such a turn.
func unthought(r *dialect.Request, out *dialect.Outbound) bool {
	for i := len(r.Messages) - 1; i >= 0; i-- {
		m := &r.Messages[i]
		if m.Role != dialect.Assistant {
			continue
		}
		said := false
		for j := range m.Blocks {
			switch b := &m.Blocks[j]; {
			case b.Kind == dialect.ThinkingBlock && out.Provenance.Foreign(b), b.Kind == dialect.RedactedBlock:
				return false
			case b.Kind == dialect.ToolUse:
				return len(out.Provenance.Recall(b.ID)) == 0
			}
			said = said || !silent(&m.Blocks[j])
		}
		if said {
			return false
		}
	}
	return false
}

func encodeThinking(dst []byte, p *plan) []byte {
	if p.kind == "" {
		return dst
	}
	dst = dialect.StringField(append(dialect.Key(dst, "thinking"), '{'), "type", p.kind)
	if p.budget > 0 {
		dst = dialect.IntField(dst, "budget_tokens", p.budget)
	}
	return append(dst, '}')
}

// prompted reports a form that the model can only be told about.
func prompted(r *dialect.Request, out *dialect.Outbound) bool {
	return r.Format.Kind == dialect.JSONObject || r.Format.Kind == dialect.JSONSchema &&
		(out.Target.Lacks(route.JSONSchema) || out.Refuses("output_config") || out.Refuses("output_config.format"))
}

func encodeOutput(dst []byte, r *dialect.Request, out *dialect.Outbound, p *plan) []byte {
	schema := r.Format.Kind == dialect.JSONSchema && !prompted(r, out)
	effort := p.effort != "" && !out.Refuses("output_config") && !out.Refuses("output_config.effort")
	if !schema && !effort {
		return dst
	}
	dst = append(dialect.Key(dst, "output_config"), '{')
	if effort {
		dst = dialect.StringField(dst, "effort", p.effort)
	}
	if schema {
		dst = append(dialect.Key(dst, "format"), `{"type":"json_schema","schema":`...)
		var dropped bool
		if dst, dropped = dialect.AppendClosedSchema(dst, r.Format.Schema); dropped {
			out.Notes.Degrade("response_format.json_schema.schema", "keywords that the provider refuses are told in descriptions")
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// formatPrompt is what the model is told when it cannot be held to a form.
func formatPrompt(r *dialect.Request, out *dialect.Outbound) dialect.Text {
	if !prompted(r, out) {
		return nil
	}
	out.Notes.Degrade("response_format", "the model is told the form, and not held to it")
	text := dialect.Quote("Reply with a single JSON object and nothing else.")
	if r.Format.Kind == dialect.JSONSchema {
		text = append(text, " It has to satisfy this JSON schema: "...)
		text = dialect.AppendJSONInString(text, r.Format.Schema)
	}
	return text
}

func encodeService(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	if r.Fast {
		if out.Takes("speed") {
			return append(dialect.Key(dst, "speed"), `"fast"`...)
		}
		out.Notes.Degrade("service_tier", "the provider has no fast tier")
		return dst
	}
	if out.Refuses("service_tier") || out.Ignores("service_tier") {
		return dst
	}
	switch r.Tier {
	case dialect.TierAuto:
		return append(dialect.Key(dst, "service_tier"), `"auto"`...)
	case dialect.TierStandard:
		return append(dialect.Key(dst, "service_tier"), `"standard_only"`...)
	}
	return dst
}
