package anthropic

import (
	"bytes"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

// request is a client's body while it is read.
type request struct {
	*dialect.Request
	notes *dialect.Notes
	// changes of the tools that system messages have made, in order.
	changes []change
	// effort that a system message asks for in the turn that is due.
	effort string
}

// DecodeRequest reads a client's body that leaves for another format.
func (Dialect) DecodeRequest(body []byte, notes *dialect.Notes) *dialect.Request {
	r := &request{Request: &dialect.Request{}, notes: notes}
	for key, value := range dialect.Value(bytes.TrimSpace(body)).Fields() {
		if value.Set() {
			r.field(string(key), value)
		}
	}
	r.change()
	if r.effort != "" {
		r.Thinking.Effort = r.effort
		if r.Thinking.Mode == dialect.ThinkingUnset {
			r.Thinking.Mode = dialect.ThinkingEffort
		}
	}
	return r.Request
}

// field takes one field of the body. What is not named here is unknown and reported.
func (r *request) field(key string, v dialect.Value) {
	switch key {
	case "model", "betas", "billing_policy", "fallback_credit_token":
	case "messages":
		r.messages(v)
	case "system":
		r.system(v)
	case "max_tokens":
		n, _ := v.Int()
		if r.MaxTokens = n; n == 0 {
			r.lose(key, v, dialect.Fatal, "0 asks for a warm cache and no answer, which the provider cannot do")
		}
	case "stop_sequences":
		r.Stop = stops(v)
	case "stream":
		r.Stream = v.True()
	case "temperature":
		r.Temperature = v
	case "top_p":
		r.TopP = v
	case "top_k":
		r.TopK = v
	case "tools":
		r.tools(v)
	case "tool_choice":
		r.choice(v)
	case "thinking":
		r.thinking(v)
	case "output_config":
		r.output(v)
	case "output_format":
		r.format(v)
	case "metadata":
		r.caller(v.Get("user_id"))
	case "service_tier":
		r.Tier = dialect.TierAuto
		if v.Plain() == "standard_only" {
			r.Tier = dialect.TierStandard
		}
	case "speed":
		r.Fast = v.Plain() == "fast"
	case "cache_control":
		r.Cache = v
	default:
		r.rest(key, v)
	}
}

func (r *request) lose(path string, v dialect.Value, loss dialect.Loss, why string) {
	r.Extra = append(r.Extra, dialect.Extra{Path: path, Value: v, Loss: loss, Why: why})
}

// rest sorts the fields without a neutral place by what their loss means.
func (r *request) rest(key string, v dialect.Value) {
	switch key {
	case "diagnostics":
		r.lose(key, v, dialect.Degrades, "the provider tells nothing of its prompt cache")
	case "mcp_servers":
		if v.Len() > 0 {
			r.lose(key, v, dialect.Fatal, "the provider calls no MCP servers")
		}
	case "container":
		r.lose(key, v, dialect.Fatal, "the provider has no containers")
	case "context_management":
		for i, edit := range v.Get("edits").Items() {
			keepsAll := edit.Get("keep").Plain() == "all" || edit.Get("keep").Get("type").Plain() == "all"
			if !strings.HasPrefix(edit.Get("type").Plain(), "clear_thinking") || !keepsAll {
				r.lose(dialect.Path("context_management", "edits", i), edit, dialect.Degrades, "the history is sent whole")
			}
		}
	default:
		r.lose(key, v, dialect.Degrades, "unknown to the provider's format")
	}
}

func stops(v dialect.Value) (list []dialect.Text) {
	for _, item := range v.Items() {
		if item.String() {
			list = append(list, item.Text())
		}
	}
	return list
}

// system reads the instructions. The block that only its vendor can make use of is left out.
func (r *request) system(v dialect.Value) {
	if v.String() {
		if len(v.Text()) > 0 {
			r.Instructions = []dialect.Block{{Kind: dialect.TextBlock, Text: v.Text(), At: -1}}
		}
		return
	}
	for i, item := range v.Items() {
		text := item.Get("text").Text()
		if len(text) == 0 || i == 0 && bytes.HasPrefix(text, billing) {
			continue
		}
		r.Instructions = append(r.Instructions, dialect.Block{Kind: dialect.TextBlock, Text: text, Cache: mark(item), At: i})
	}
}

func mark(v dialect.Value) dialect.Value {
	if c := v.Get("cache_control"); c.Object() {
		return c
	}
	return nil
}

func (r *request) thinking(v dialect.Value) {
	t := &r.Thinking
	t.Raw = v
	t.Hidden = v.Get("display").Plain() == "omitted"
	switch v.Get("type").Plain() {
	case "disabled":
		t.Mode = dialect.ThinkingOff
	case "enabled":
		t.Mode = dialect.ThinkingBudget
		t.Budget, _ = v.Get("budget_tokens").Int()
	default:
		t.Mode = dialect.ThinkingAdaptive
	}
}

func (r *request) output(v dialect.Value) {
	for key, value := range v.Fields() {
		switch {
		case !value.Set():
		case string(key) == "effort":
			r.Thinking.Effort = value.Plain()
			if r.Thinking.Mode == dialect.ThinkingUnset {
				r.Thinking.Mode = dialect.ThinkingEffort
			}
		case string(key) == "format":
			r.format(value)
		default:
			r.lose("output_config."+string(key), value, dialect.Degrades, "unknown to the provider's format")
		}
	}
}

func (r *request) format(v dialect.Value) {
	if schema := v.Get("schema"); v.Get("type").Plain() == "json_schema" && schema.Object() {
		r.Format = dialect.Format{Kind: dialect.JSONSchema, Schema: schema}
	}
}

// caller reads the end user's id, in which a coding agent hides its session.
func (r *request) caller(v dialect.Value) {
	r.User = v.Text()
	plain := v.Plain()
	if inner, ok := dialect.ParseValue([]byte(plain)); ok && inner.Object() {
		r.CacheKey = inner.Get("session_id").Text()
	} else if _, session, found := strings.Cut(plain, "_session_"); found {
		r.CacheKey = dialect.Quote(session)
	}
}

func (r *request) choice(v dialect.Value) {
	switch v.Get("type").Plain() {
	case "auto":
		r.Choice.Mode = dialect.ChoiceAuto
	case "any":
		r.Choice.Mode = dialect.ChoiceAny
	case "none":
		r.Choice.Mode = dialect.ChoiceNone
	case "tool":
		r.Choice = dialect.Choice{Mode: dialect.ChoiceOne, Name: v.Get("name").Text()}
	}
	r.OneTool = v.Get("disable_parallel_tool_use").True()
}

func (r *request) tools(v dialect.Value) {
	for i, item := range v.Items() {
		r.tool(item, i, dialect.Path("tools", i))
	}
}

// tool takes one tool's definition, which stands at path.
func (r *request) tool(v dialect.Value, at int, path string) {
	t, kind := r.definition(v, at, path)
	switch family := server(kind); {
	case family != "":
		t.Server = family
		if len(t.Name) == 0 {
			t.Name = dialect.Text(family)
		}
	case kind != "" && kind != "custom":
		description, schema := clientTool(kind)
		if schema == "" {
			r.notes.Refuse(path+".type", "tools of type "+kind+" cannot be carried")
			return
		}
		t.Description, t.Schema = dialect.Quote(description), dialect.Value(schema)
	}
	r.Tools = append(r.Tools, t)
}

// definition reads a tool's definition, and its type.
func (r *request) definition(v dialect.Value, at int, path string) (t dialect.Tool, kind string) {
	t, kind = dialect.Tool{Raw: v, At: at}, v.Get("type").Plain()
	for key, value := range v.Fields() {
		if !value.Set() {
			continue
		}
		switch string(key) {
		case "type":
		case "name":
			t.Name = value.Text()
		case "description":
			t.Description = value.Text()
		case "input_schema":
			t.Schema = value
		case "strict":
			t.Strict = value
		case "cache_control":
			t.Cache = value
		case "input_examples":
			if value.Len() > 0 {
				t.Examples = value
			}
		case "defer_loading", "eager_input_streaming", "allowed_callers": // every tool is sent, and called by nobody but the model
		default:
			if kind == "" || kind == "custom" {
				r.notes.Degrade(path+"."+string(key), "unknown to the provider's format")
			}
		}
	}
	return t, kind
}

// server is the family of a tool that the provider runs itself; empty for others.
func server(kind string) string {
	for _, family := range [...]string{"web_search", "web_fetch", "code_execution"} {
		if strings.HasPrefix(kind, family+"_2") {
			return family
		}
	}
	switch {
	case strings.HasPrefix(kind, "tool_search_tool_"):
		return "tool_search"
	case strings.HasPrefix(kind, "mcp_toolset"):
		return "mcp"
	case strings.HasPrefix(kind, "advisor_"):
		return "advisor"
	}
	return ""
}
