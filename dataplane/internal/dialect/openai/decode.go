package openai

import (
	"bytes"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

// request is a client's body while it is read.
type request struct {
	*dialect.Request
	notes *dialect.Notes
	// open is the id of a call of the old functions, which have none of their own.
	open dialect.Text
	fns  int
}

// DecodeRequest reads a client's body.
func (Dialect) DecodeRequest(body []byte, notes *dialect.Notes) *dialect.Request {
	r := &request{Request: &dialect.Request{}, notes: notes}
	v := dialect.Value(bytes.TrimSpace(body))
	for key, value := range v.Fields() {
		if value.Set() {
			r.field(string(key), value)
		}
	}
	return r.Request
}

// field takes one field of the body. What is not named here is unknown and reported.
func (r *request) field(key string, v dialect.Value) {
	switch key {
	case "model", "top_logprobs":
	case "messages":
		r.messages(v)
	case "stream":
		r.Stream = v.True()
	case "stream_options":
		r.WantsUsage = v.Get("include_usage").True()
	case "max_completion_tokens":
		r.MaxTokens, _ = v.Int()
	case "max_tokens":
		if n, ok := v.Int(); ok && r.MaxTokens == 0 {
			r.MaxTokens = n
		}
	case "temperature":
		r.Temperature = v
	case "top_p":
		r.TopP = v
	case "top_k":
		r.TopK = v
	case "stop":
		r.Stop = stops(v)
	case "tools":
		r.tools(v)
	case "functions":
		r.functions(v)
	case "tool_choice":
		r.choice(v)
	case "function_call":
		r.functionChoice(v)
	case "parallel_tool_calls":
		r.OneTool = v.False()
	case "response_format":
		r.format(v)
	case "reasoning_effort", "thinking":
		r.thinking(key, v)
	case "safety_identifier", "user":
		if r.User == nil || key == "safety_identifier" {
			r.User = v.Text()
		}
	case "prompt_cache_key":
		r.CacheKey = v.Text()
	case "service_tier":
		r.tier(v.Plain())
	default:
		r.rest(key, v)
	}
}

// rest sorts the fields without a neutral place by what their loss means.
func (r *request) rest(key string, v dialect.Value) {
	x := dialect.Extra{Path: key, Value: v, Loss: dialect.Degrades, Why: "unknown to the provider's format"}
	switch key {
	case "n":
		if n, _ := v.Int(); n <= 1 {
			return
		}
		x.Loss, x.Why = dialect.Fatal, "the provider gives one choice only"
	case "logprobs":
		if v.False() {
			return
		}
		x.Loss, x.Why = dialect.Fatal, "the provider gives no log probabilities"
	case "audio":
		x.Loss, x.Why = dialect.Fatal, "the provider gives no audio"
	case "modalities":
		for i, item := range v.Items() {
			if item.Plain() != "text" {
				r.Extra = append(r.Extra, dialect.Extra{Path: dialect.Path(key, i), Loss: dialect.Fatal, Why: "the provider gives nothing but text"})
			}
		}
		return
	case "metadata", "prompt_cache_retention", "prompt_cache_options":
		x.Loss = dialect.Harmless
	case "store":
		if !v.True() {
			return
		}
		x.Why = "the provider keeps no answers"
	case "presence_penalty", "frequency_penalty":
		if f, ok := v.Float(); ok && f == 0 {
			return
		}
	case "web_search_options":
		r.Tools = append(r.Tools, dialect.Tool{Name: dialect.Text("web_search"), Server: "web_search", Raw: v, At: -1})
		return
	}
	r.Extra = append(r.Extra, x)
}

func stops(v dialect.Value) []dialect.Text {
	if v.String() {
		return []dialect.Text{v.Text()}
	}
	var list []dialect.Text
	for _, item := range v.Items() {
		if item.String() {
			list = append(list, item.Text())
		}
	}
	return list
}

func (r *request) tier(name string) {
	switch name {
	case "auto":
		r.Tier = dialect.TierAuto
	case "default":
		r.Tier = dialect.TierStandard
	case "fast", "priority":
		r.Tier, r.Fast = dialect.TierOther, true
	default:
		r.Tier = dialect.TierOther
		r.Extra = append(r.Extra, dialect.Extra{Path: "service_tier", Loss: dialect.Degrades, Why: "the provider has no tier " + name})
	}
}

func (r *request) format(v dialect.Value) {
	switch v.Get("type").Plain() {
	case "json_object":
		r.Format.Kind = dialect.JSONObject
	case "json_schema":
		s := v.Get("json_schema")
		r.Format = dialect.Format{
			Kind: dialect.JSONSchema, Name: s.Get("name").Text(), Description: s.Get("description").Text(), Schema: s.Get("schema"), Strict: s.Get("strict"),
		}
		if !r.Format.Schema.Object() {
			r.Format.Kind = dialect.JSONObject
		}
	}
}

func (r *request) thinking(key string, v dialect.Value) {
	if key == "reasoning_effort" {
		r.Thinking.Effort = v.Plain()
		if r.Thinking.Mode == dialect.ThinkingUnset {
			r.Thinking.Mode = dialect.ThinkingEffort
		}
		if r.Thinking.Effort == "none" {
			r.Thinking.Mode = dialect.ThinkingOff
		}
		return
	}
	r.WantsSignatures = true
	r.Thinking.Raw = v
	switch v.Get("type").Plain() {
	case "disabled":
		r.Thinking.Mode = dialect.ThinkingOff
	case "adaptive":
		r.Thinking.Mode = dialect.ThinkingAdaptive
	case "enabled":
		r.Thinking.Mode = dialect.ThinkingAdaptive
		if n, ok := v.Get("budget_tokens").Int(); ok {
			r.Thinking.Mode, r.Thinking.Budget = dialect.ThinkingBudget, n
		}
	}
}

func (r *request) tools(v dialect.Value) {
	for i, item := range v.Items() {
		switch kind := item.Get("type").Plain(); kind {
		case "function":
			r.Tools = append(r.Tools, function(item.Get("function"), item, i))
		case "custom":
			r.custom(item, i)
		default:
			r.notes.Refuse(dialect.Path("tools", i, "type"), "tools of type "+kind+" cannot be carried")
		}
	}
}

func function(f, item dialect.Value, at int) dialect.Tool {
	t := dialect.Tool{
		Name: f.Get("name").Text(), Description: f.Get("description").Text(), Schema: f.Get("parameters"), Strict: f.Get("strict"), Cache: cacheMark(item), At: at, Raw: item,
	}
	if !t.Schema.Set() {
		t.Schema = nil
	}
	if !t.Strict.Set() {
		t.Strict = nil
	}
	return t
}

// custom offers a tool that takes text as one that takes an object with the text in it.
func (r *request) custom(item dialect.Value, at int) {
	c := item.Get("custom")
	r.Tools = append(r.Tools, dialect.Tool{
		Name: c.Get("name").Text(), Description: c.Get("description").Text(), Custom: true, At: at, Raw: item,
		Schema: dialect.Value(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}`),
	})
	if c.Get("format").Get("type").Plain() == "grammar" {
		r.notes.Degrade(dialect.Path("tools", at, "custom", "format"), "the grammar is not enforced")
	}
}

func (r *request) functions(v dialect.Value) {
	r.Legacy = true
	for i, item := range v.Items() {
		r.Tools = append(r.Tools, function(item, item, i))
	}
}

func (r *request) choice(v dialect.Value) {
	if v.String() {
		r.Choice.Mode = choiceMode(v.Plain())
		return
	}
	switch kind := v.Get("type").Plain(); kind {
	case "function", "custom":
		r.Choice = dialect.Choice{Mode: dialect.ChoiceOne, Name: v.Get(kind).Get("name").Text()}
	case "allowed_tools":
		a := v.Get("allowed_tools")
		r.Choice = dialect.Choice{Mode: choiceMode(a.Get("mode").Plain()), Allowed: []dialect.Text{}}
		for _, tool := range a.Get("tools").Items() {
			r.Choice.Allowed = append(r.Choice.Allowed, tool.Get(tool.Get("type").Plain()).Get("name").Text())
		}
	default:
		r.Choice.Mode = choiceMode(kind) // some clients put the word into an object
	}
}

func choiceMode(word string) dialect.ChoiceMode {
	switch word {
	case "auto":
		return dialect.ChoiceAuto
	case "required":
		return dialect.ChoiceAny
	case "none":
		return dialect.ChoiceNone
	}
	return dialect.ChoiceUnset
}

func (r *request) functionChoice(v dialect.Value) {
	if v.String() {
		r.Choice.Mode = choiceMode(v.Plain())
		return
	}
	r.Choice = dialect.Choice{Mode: dialect.ChoiceOne, Name: v.Get("name").Text()}
}

// cacheMark is a mark that the prompt up to here may be kept, in either of the two ways that clients write it.
func cacheMark(v dialect.Value) dialect.Value {
	if c := v.Get("cache_control"); c.Object() {
		return c
	}
	if v.Get("prompt_cache_breakpoint").Object() {
		return dialect.Value(`{"type":"ephemeral"}`)
	}
	return nil
}

// legacyID names a call of the old functions.
func (r *request) legacyID() dialect.Text {
	r.fns++
	return append(dialect.Text("call_function_"), strconv.Itoa(r.fns)...)
}
