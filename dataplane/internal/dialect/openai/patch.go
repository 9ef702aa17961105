package openai

import (
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// Patch changes what a provider of this format cannot take as the client wrote it.
func (Dialect) Patch(p *dialect.Patcher, c *dialect.Call) {
	out := &dialect.Outbound{Target: &c.Target, Notes: p.Notes, Model: dialect.SheetModel(&c.Target)}
	patchStream(p, c, out)
	patchLimit(p, out)
	patchSampling(p, out)
	if sheet := c.Target.Sheet; sheet.StopMax == 0 && (out.Ignores("stop") || out.Refuses("stop")) {
		p.EmulateStops = stops(p.Get("stop"))
	}
	if effort := p.Get("reasoning_effort"); effort.String() {
		patchEffort(p, effort, out)
	}
	if out.Target.Lacks(route.GrammarTools) {
		refuseCustom(p)
	}
	patchSystem(p, out, patchFormat(p, out))
	patchMessages(p, c.Target.Sheet)
}

// refuseCustom sends tools that take text to somebody who knows them.
func refuseCustom(p *dialect.Patcher) {
	for i, tool := range p.Get("tools").Items() {
		if tool.Get("type").Plain() == "custom" {
			p.Notes.Refuse(dialect.Path("tools", i, "type"), "the provider takes no tools but functions")
		}
	}
}

// patchFormat asks a provider that knows no schemas for JSON at least, and returns what the model is to be told instead.
func patchFormat(p *dialect.Patcher, out *dialect.Outbound) dialect.Text {
	schema := p.Get("response_format").Get("json_schema").Get("schema")
	if !schema.Object() || !out.Target.Lacks(route.JSONSchema) && !out.Refuses("response_format.json_schema") {
		return nil
	}
	p.Notes.Degrade("response_format", "the provider does not enforce schemas; the model is told the schema")
	if out.Target.Lacks(route.JSONObject) {
		p.Drop("response_format")
	} else {
		p.Set("response_format", []byte(`{"type":"json_object"}`))
	}
	return schemaWords(schema)
}

// patchSystem puts all instructions into one message at the start where the provider takes no others, and adds what else is to be said.
func patchSystem(p *dialect.Patcher, out *dialect.Outbound, told dialect.Text) {
	hoist := out.Target.Sheet.System == provider.SystemHoist
	if !hoist && told == nil {
		return
	}
	var first dialect.Value // of all messages
	var text dialect.Text
	leads, scattered := false, false
	for i, message := range p.Get("messages").Items() {
		if i == 0 {
			first = message
		}
		if !instructs(message) || i > 0 && !hoist {
			continue
		}
		leads, scattered = leads || i == 0, scattered || i > 0
		text = also(text, message.Get("content"))
	}
	if told == nil && !scattered || first == nil {
		return
	}
	if told != nil {
		text = also(text, dialect.Value(dialect.AppendText(nil, told)))
	}
	whole := dialect.AppendText(nil, text)
	if leads {
		p.Replace(first.Get("content"), whole)
	} else {
		p.Insert(first, append(append([]byte(`{"role":"system","content":`), whole...), '}', ','))
	}
	if scattered {
		i := -1
		p.Filter(p.Get("messages"), func(_ dialect.Text, message dialect.Value) bool {
			i++
			return instructs(message) && (i > 0 || !leads)
		})
	}
}

func instructs(message dialect.Value) bool {
	role := message.Get("role").Plain()
	return role == "system" || role == "developer"
}

// also appends what a message's content says.
func also(text dialect.Text, content dialect.Value) dialect.Text {
	say := func(t dialect.Text) {
		if len(text) > 0 {
			text = append(text, `\n\n`...)
		}
		text = append(text, t...)
	}
	if content.String() {
		say(content.Text())
	}
	for _, part := range content.Items() {
		say(part.Get("text").Text())
	}
	return text
}

// patchStream asks for what the gateway needs: a stream where it wants one, and the usage at its end.
func patchStream(p *dialect.Patcher, c *dialect.Call, out *dialect.Outbound) {
	stream := c.UpstreamStreams()
	if stream != p.Get("stream").True() {
		p.Set("stream", strconv.AppendBool(nil, stream))
	}
	options := p.Get("stream_options")
	switch {
	case !stream:
		if options != nil {
			p.Drop("stream_options")
		}
	case options.Get("include_usage").True(), out.Refuses("stream_options"):
	default:
		p.OwnUsage = true
		p.Set("stream_options", withUsage(options))
	}
}

// withUsage are the client's stream options and the wish for usage.
func withUsage(options dialect.Value) []byte {
	dst := []byte(`{`)
	for key, v := range options.Fields() {
		if string(key) != "include_usage" {
			dst = dialect.ValueField(dst, string(key), v)
		}
	}
	return append(append(dialect.Key(dst, "include_usage"), "true"...), '}')
}

// limitField is what the provider calls the limit of the answer.
func limitField(out *dialect.Outbound) string {
	field := out.Target.Sheet.MaxTokensField
	if field == "" {
		field = "max_tokens"
	}
	if out.Refuses(field) {
		if field == "max_tokens" {
			return "max_completion_tokens"
		}
		return "max_tokens"
	}
	return field
}

func patchLimit(p *dialect.Patcher, out *dialect.Outbound) {
	field := limitField(out)
	known := out.Target.Sheet.MaxTokensField != "" || out.Refuses("max_tokens") || out.Refuses("max_completion_tokens")
	given := "max_completion_tokens"
	limit := p.Get(given)
	if !limit.Set() {
		given = "max_tokens"
		limit = p.Get(given)
	}
	n, ok := limit.Int()
	if !ok {
		if reserve := out.Target.Sheet.OutputReserve; reserve > 0 {
			p.Set(field, strconv.AppendInt(nil, int64(reserve), 10))
		}
		return
	}
	if most := out.Target.MaxOutputTokens; most > 0 && n > most {
		p.Notes.Degrade(given, "clamped to the model's "+strconv.Itoa(most))
		p.Set(given, strconv.AppendInt(nil, int64(most), 10))
	}
	if given != field && known {
		p.Drop(field)
		p.Rename(given, field)
	}
}

func patchSampling(p *dialect.Patcher, out *dialect.Outbound) {
	if m := out.Model; m != nil && m.NoSampling && p.Get("reasoning_effort").Plain() != "none" {
		for _, name := range [...]string{"temperature", "top_p"} {
			if p.Get(name).Set() && string(p.Get(name)) != "1" {
				p.Drop(name)
				p.Notes.Degrade(name, "the model does not take it")
			}
		}
	}
	if v := p.Get("temperature"); v != nil {
		if clamped, changed := clampTemperature(v, out); changed {
			p.Set("temperature", clamped)
		}
	}
}

// clampTemperature brings a temperature into the provider's bounds.
func clampTemperature(v dialect.Value, out *dialect.Outbound) (dialect.Value, bool) {
	low, high := out.Target.Sheet.TemperatureMin, out.Target.Sheet.TemperatureMax
	t, ok := v.Float()
	if !ok || low == 0 && high == 0 || t >= low && t <= high {
		return v, false
	}
	bound := min(max(t, low), high)
	out.Notes.Degrade("temperature", "clamped to "+strconv.FormatFloat(bound, 'g', -1, 64))
	return strconv.AppendFloat(nil, bound, 'g', -1, 64), true
}

func patchEffort(p *dialect.Patcher, effort dialect.Value, out *dialect.Outbound) {
	clamped := dialect.ClampEffort(effort.Plain(), out.Target.Efforts)
	switch {
	case clamped == effort.Plain():
	case clamped == "":
		p.Drop("reasoning_effort")
		p.Notes.Degrade("reasoning_effort", "the model has no such setting")
	default:
		p.Set("reasoning_effort", dialect.AppendString(nil, clamped))
		p.Notes.Degrade("reasoning_effort", "clamped to "+clamped)
	}
}

// patchMessages renames roles and reasoning, where the provider's words differ, and drops what this gateway added to an answer for
// the sake of another format.
func patchMessages(p *dialect.Patcher, sheet *provider.Sheet) {
	want := reasoningName(sheet.Reasoning)
	rename, say := sheet.NoDeveloper && p.Developer, want != "" && p.Thought
	if !rename && !say {
		return
	}
	for _, message := range p.Get("messages").Items() {
		role := message.Get("role")
		if rename && role.Plain() == "developer" {
			p.Replace(role, []byte(`"system"`))
		}
		if !say || role.Plain() != "assistant" || message.Get(want) != nil {
			continue
		}
		for _, name := range [...]string{"reasoning_content", "reasoning"} {
			if message.Get(name).String() {
				p.RenameKey(message, name, want)
				break
			}
		}
	}
}

// reasoningName is the field in which reasoning stands as one string; empty where it does not.
func reasoningName(field provider.ReasoningField) string {
	switch field {
	case provider.ReasoningContent:
		return "reasoning_content"
	case provider.Reasoning:
		return "reasoning"
	}
	return ""
}
