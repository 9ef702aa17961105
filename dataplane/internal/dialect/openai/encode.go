package openai

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// The bounds of what this format takes: a tool's name, a call's id.
const (
	nameMax = 64
	idMax   = 40
)

// EncodeRequest appends the body for a provider.
func (Dialect) EncodeRequest(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	out.Names.Reserve(r.Tools, nameMax)
	dst = append(dst, '{')
	dst = dialect.StringField(dst, "model", out.Target.Model)
	dst = encodeMessages(dst, r, out)
	dst = encodeTools(dst, r, out)
	dst = encodeLimit(dst, r, out)
	dst = encodeSampling(dst, r, out)
	dst = encodeThinking(dst, r, out)
	dst = encodeFormat(dst, r, out)
	dst = encodeCaller(dst, r, out)
	dst = encodeService(dst, r, out)
	if out.Stream {
		dst = append(dialect.Key(dst, "stream"), "true"...)
		if !out.Refuses("stream_options") {
			dst = append(dialect.Key(dst, "stream_options"), `{"include_usage":true}`...)
		}
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

func encodeLimit(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	n := r.MaxTokens
	if n == 0 {
		n = out.Target.Sheet.OutputReserve
	}
	if most := out.Target.MaxOutputTokens; most > 0 && n > most {
		out.Notes.Degrade("max_tokens", "clamped to the model's "+strconv.Itoa(most))
		n = most
	}
	if n == 0 {
		return dst
	}
	return dialect.IntField(dst, limitField(out), n)
}

func encodeSampling(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	fixed := out.Model != nil && out.Model.NoSampling
	if v := r.Temperature; v != nil && gone(fixed, "temperature", out) {
		v, _ = clampTemperature(v, out)
		dst = dialect.ValueField(dst, "temperature", v)
	}
	if r.TopP != nil && gone(fixed, "top_p", out) {
		dst = dialect.ValueField(dst, "top_p", r.TopP)
	}
	if r.TopK != nil && gone(fixed || !out.Takes("top_k"), "top_k", out) {
		dst = dialect.ValueField(dst, "top_k", r.TopK)
	}
	if len(r.Stop) > 0 && gone(false, "stop", out) {
		dst = append(dialect.Key(dst, "stop"), '[')
		for _, stop := range r.Stop {
			dst = dialect.AppendText(dialect.Item(dst), stop)
		}
		dst = append(dst, ']')
	}
	return dst
}

// gone reports a field that cannot go out, and says whether it may.
func gone(lost bool, field string, out *dialect.Outbound) bool {
	if lost || out.Refuses(field) || out.Ignores(field) {
		out.Notes.Degrade(field, "the model does not take it")
		return false
	}
	return true
}

// budgetEffort says which effort a budget of thinking tokens amounts to.
func budgetEffort(tokens int) string {
	switch {
	case tokens <= 2048:
		return "low"
	case tokens <= 8192:
		return "medium"
	case tokens <= 24576:
		return "high"
	}
	return "xhigh"
}

// encodeThinking says how much to think: by effort where the model has a set of them, by a switch where the provider has one.
func encodeThinking(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	sheet := out.Target.Sheet
	if sheet.Reasoning == provider.ReasoningDetails && !out.Refuses("reasoning_split") {
		dst = append(dialect.Key(dst, "reasoning_split"), "true"...)
	}
	t := &r.Thinking
	effort := t.Effort
	switch t.Mode {
	case dialect.ThinkingUnset:
		return dst
	case dialect.ThinkingOff:
		effort = "none"
	case dialect.ThinkingBudget:
		if effort == "" {
			effort = budgetEffort(t.Budget)
		}
	}
	if sheet.ThinkingOn != "" && !out.Refuses("thinking") {
		dst = thinkingSwitch(dst, t, effort == "none", out)
		if effort == "none" {
			return dst
		}
	}
	if effort == "" {
		return dst
	}
	return encodeEffort(dst, effort, out)
}

func thinkingSwitch(dst []byte, t *dialect.Thinking, off bool, out *dialect.Outbound) []byte {
	always := out.Model != nil && out.Model.AlwaysThinks
	switch {
	case off && always:
		out.Notes.Degrade("thinking", "the model always thinks")
	case off:
		return append(dialect.Key(dst, "thinking"), `{"type":"disabled"}`...)
	case t.Mode != dialect.ThinkingEffort && !always:
		dst = dialect.StringField(append(dialect.Key(dst, "thinking"), '{'), "type", out.Target.Sheet.ThinkingOn)
		if out.Replayed && out.Takes("thinking.clear_thinking") {
			dst = append(dialect.Key(dst, "clear_thinking"), "false"...) // or what was given back is not read
		}
		return append(dst, '}')
	}
	return dst
}

func encodeEffort(dst []byte, effort string, out *dialect.Outbound) []byte {
	set := out.Target.Efforts
	if set == nil && out.Model != nil {
		set = out.Model.Efforts
	}
	off := effort == "none"
	clamped := dialect.ClampEffort(effort, set)
	if set == nil && off && out.Target.Lacks(route.Thinking) {
		clamped = ""
	}
	switch {
	case out.Refuses("reasoning_effort") || out.Target.Lacks(route.Thinking) || clamped == "":
		if !off {
			out.Notes.Degrade("reasoning_effort", "the model has no such setting")
		}
		return dst
	case clamped != effort:
		out.Notes.Degrade("reasoning_effort", "clamped from "+effort+" to "+clamped)
	}
	return dialect.StringField(dst, "reasoning_effort", clamped)
}

func encodeFormat(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	f := &r.Format
	schema := f.Kind == dialect.JSONSchema && !out.Target.Lacks(route.JSONSchema) && !out.Refuses("response_format.json_schema")
	switch {
	case f.Kind == dialect.FreeText || out.Refuses("response_format") || !schema && out.Target.Lacks(route.JSONObject):
		return dst
	case !schema:
		return append(dialect.Key(dst, "response_format"), `{"type":"json_object"}`...)
	}
	dst = append(dialect.Key(dst, "response_format"), `{"type":"json_schema","json_schema":{`...)
	if len(f.Name) > 0 {
		dst = dialect.TextField(dst, "name", f.Name)
	} else {
		dst = dialect.StringField(dst, "name", "output")
	}
	if len(f.Description) > 0 {
		dst = dialect.TextField(dst, "description", f.Description)
	}
	dst = dialect.Key(dst, "schema")
	dst, strict := dialect.AppendStrictSchema(dst, f.Schema)
	if !strict {
		dst = append(dst, f.Schema...)
		out.Notes.Degrade("output_config.format.schema", "the provider is strict only with schemas that leave nothing open")
	}
	return append(strconv.AppendBool(dialect.Key(dst, "strict"), strict), '}', '}')
}

// formatPrompt is what the model is told when the provider cannot hold it to a schema.
func formatPrompt(r *dialect.Request, out *dialect.Outbound) dialect.Text {
	if r.Format.Kind != dialect.JSONSchema {
		return nil
	}
	if !out.Target.Lacks(route.JSONSchema) && !out.Refuses("response_format.json_schema") && !out.Refuses("response_format") {
		return nil
	}
	out.Notes.Degrade("output_config.format", "the provider does not enforce schemas; the model is told the schema")
	return schemaWords(r.Format.Schema)
}

// schemaWords tell a model what cannot be enforced.
func schemaWords(schema dialect.Value) dialect.Text {
	text := dialect.Quote("Reply with a single JSON object, and nothing else, that satisfies this JSON schema: ")
	return dialect.AppendJSONInString(text, schema)
}

// encodeCaller names the end user, hashed, and the conversation for the provider's prompt cache.
func encodeCaller(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	if len(r.User) > 0 {
		sum := sha256.Sum256([]byte(r.User.Plain()))
		switch {
		case out.Takes("safety_identifier") && !out.Refuses("safety_identifier"):
			dst = dialect.StringField(dst, "safety_identifier", hex.EncodeToString(sum[:]))
		case !out.Refuses("user"):
			dst = dialect.StringField(dst, "user", hex.EncodeToString(sum[:]))
		}
	}
	if len(r.CacheKey) > 0 && out.Takes("prompt_cache_key") && !out.Refuses("prompt_cache_key") {
		dst = dialect.TextField(dst, "prompt_cache_key", r.CacheKey)
	}
	return dst
}

func encodeService(dst []byte, r *dialect.Request, out *dialect.Outbound) []byte {
	tier := ""
	switch r.Tier {
	case dialect.TierAuto:
		tier = "auto"
	case dialect.TierStandard:
		tier = "default"
	}
	if r.Fast {
		if tier = "fast"; !out.Takes("service_tier.fast") {
			out.Notes.Degrade("speed", "the provider has no fast tier")
			tier = ""
		}
	}
	if tier == "" || out.Refuses("service_tier") || out.Ignores("service_tier") {
		return dst
	}
	return dialect.StringField(dst, "service_tier", tier)
}
