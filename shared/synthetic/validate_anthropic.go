package synthetic

import (
	"fmt"
	"strings"
)

// The members that Anthropic knows, each between spaces.
const (
	anthropicFields = " model max_tokens messages system stop_sequences stream temperature top_p top_k tools tool_choice thinking " +
		"output_config metadata service_tier speed cache_control container inference_geo diagnostics "
	anthropicBetaFields = " context_management compaction mcp_servers fallbacks fallback_credit_token output_format thread billing_policy "
	anthropicToolFields = " name input_schema description type strict cache_control defer_loading eager_input_streaming input_examples allowed_callers "
	imageTypes          = " image/jpeg image/png image/gif image/webp "
)

// secondVersion is the API version that no longer takes sampling parameters.
const secondVersion = "2026-10-21"

// An anthropicJudge holds one request against Anthropic's rules. Texts follow the original's.
type anthropicJudge struct {
	*exchange
	version string
	open    []string // ids of the tool calls that the next user turn has to answer
	marked  int      // cache_control marks so far
}

func (x *exchange) validateAnthropic() *problem {
	j := &anthropicJudge{exchange: x, version: x.r.Header.Get("Anthropic-Version")}
	for _, rule := range [...]func() *problem{j.headers, j.fields, j.sampling, j.lists, j.system, j.tools, j.choice, j.thinking, j.format, j.turns} {
		if p := rule(); p != nil {
			return p
		}
	}
	return nil
}

func (j *anthropicJudge) headers() *problem {
	switch j.version {
	case "":
		return invalid("", "anthropic-version: header is required")
	case "2023-06-01", secondVersion:
		return nil
	}
	return invalid("", "anthropic-version: %q is not a valid version", j.version)
}

func (j *anthropicJudge) fields() *problem {
	beta := strings.Join(j.r.Header.Values("Anthropic-Beta"), ",")
	for key, v := range j.ask.body.members {
		switch {
		case among(anthropicFields, key):
		case key == "context_management" && strings.Contains(beta, "context-management"):
		case key != "context_management" && among(anthropicBetaFields, key) && beta != "":
		default:
			return invalid(key, "%s: Extra inputs are not permitted", key)
		}
		if key == "stream" && !v.boolean() {
			return invalid(key, "stream: Input should be a valid boolean")
		}
	}
	if j.ask.model == "" {
		return invalid("model", "model: Field required")
	}
	most, given := j.ask.body.get("max_tokens"), j.endpoint == tokenCount
	n, isWhole := most.integer()
	switch {
	case given && most != nil:
		return invalid("max_tokens", "max_tokens: Extra inputs are not permitted")
	case given:
		return nil
	case most == nil:
		return invalid("max_tokens", "max_tokens: Field required")
	case !isWhole || n < 0:
		return invalid("max_tokens", "max_tokens: Input should be a valid integer, greater than or equal to 0")
	}
	return nil
}

// sampling: the second version takes none of the three, newer models only their defaults.
func (j *anthropicJudge) sampling() *problem {
	for _, name := range [...]string{"temperature", "top_p", "top_k"} {
		v := j.ask.body.get(name)
		switch {
		case v == nil:
		case j.version == secondVersion:
			return invalid(name, "%s: Extra inputs are not permitted", name)
		case !v.number():
			return invalid(name, "%s: Input should be a valid number", name)
		case name != "top_k" && (v.float() < 0 || v.float() > 1):
			return invalid(name, "%s: range: 0..1", name)
		case !elderClaude(j.ask.model) && !strings.Contains(j.ask.model, "-4-6") && (name == "top_k" || v.float() != 1):
			return invalid(name, "`%s` is not supported by this model. Remove it or leave it at its default.", name)
		}
	}
	return nil
}

// elderClaude says whether the model is of the generations up to 4.5, which still took prefill, and as 4.6 did sampling parameters.
func elderClaude(model string) bool {
	for _, sign := range [...]string{"claude-2", "claude-3", "-4-0", "-4-1", "-4-5", "-4-2025"} {
		if strings.Contains(model, sign) {
			return true
		}
	}
	return false
}

func (j *anthropicJudge) lists() *problem {
	for n, stop := range j.ask.body.get("stop_sequences").items {
		if strings.TrimSpace(stop.str()) == "" {
			return invalid("stop_sequences", "stop_sequences.%d: each stop sequence must contain non-whitespace", n)
		}
	}
	for key := range j.ask.body.get("metadata").members {
		if key != "user_id" {
			return invalid("metadata", "metadata.%s: Extra inputs are not permitted", key)
		}
	}
	return nil
}

func (j *anthropicJudge) system() *problem {
	system := j.ask.body.get("system")
	if system != nil && !system.text() && !system.array() {
		return invalid("system", "system: Input should be a valid string or array")
	}
	for n, b := range system.items {
		at := fmt.Sprintf("system.%d", n)
		if kind := b.get("type").str(); kind != "text" {
			return invalid(at, "%s.type: Input should be 'text'", at)
		}
		if p := j.textBlock(at, b, "system"); p != nil {
			return p
		}
		if p := j.cacheMark(at, b); p != nil {
			return p
		}
	}
	return nil
}

func (j *anthropicJudge) tools() *problem {
	seen := make(map[string]bool)
	for n, tool := range j.ask.body.get("tools").items {
		at, kind, name := fmt.Sprintf("tools.%d", n), tool.get("type").str(), tool.get("name").str()
		if kind != "" && kind != "custom" {
			if !knownTool(kind) {
				return invalid(at, "%s: Input tag '%s' found using 'type' does not match any of the expected tags", at, kind)
			}
		} else if p := j.customTool(at+".custom", tool, name); p != nil {
			return p
		}
		if seen[name] && name != "" {
			return invalid(at, "tools: Tool names must be unique. %q stands twice.", name)
		}
		seen[name] = true
		if p := j.cacheMark(at, tool); p != nil {
			return p
		}
	}
	return nil
}

func knownTool(kind string) bool {
	for _, family := range [...]string{"bash_2", "text_editor_2", "memory_2", "browser_toolset_2", "computer_"} {
		if strings.HasPrefix(kind, family) {
			return true
		}
	}
	return serverTool(kind)
}

func (j *anthropicJudge) customTool(at string, tool value, name string) *problem {
	for key := range tool.members {
		if !among(anthropicToolFields, key) {
			return invalid(at, "%s.%s: Extra inputs are not permitted", at, key)
		}
	}
	if !plainName(name, "", 128) {
		return invalid(at, "%s.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", at)
	}
	schema := tool.get("input_schema")
	if !schema.object() {
		return invalid(at, "%s.input_schema: Field required", at)
	}
	if kind := schema.get("type").str(); kind != "object" {
		return invalid(at, "%s.input_schema.type: Input should be 'object'", at)
	}
	for _, keyword := range [...]string{"oneOf", "allOf", "anyOf"} {
		if schema.get(keyword) != nil {
			return invalid(at, "%s.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level", at)
		}
	}
	for key := range schema.get("properties").members {
		if !plainName(key, ".", 64) {
			return invalid(at, "%s.input_schema.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$', %q does not", at, key)
		}
	}
	if wrong := wrongType(schema, 0); wrong != "" {
		return invalid(at, "%s.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12: unknown type %q", at, wrong)
	}
	return nil
}

// wrongType finds a type that JSON Schema doesn't have, "" if there is none.
func wrongType(schema value, depth int) string {
	if depth > schemaDepth {
		return ""
	}
	const types = " object array string number integer boolean null "
	kind := schema.get("type")
	if kind.text() && !among(types, kind.str()) {
		return kind.str()
	}
	for _, item := range kind.items {
		if !among(types, item.str()) {
			return item.str()
		}
	}
	for _, group := range [...]string{"properties", "$defs", "definitions"} {
		for _, member := range schema.get(group).members {
			if wrong := wrongType(member, depth+1); wrong != "" {
				return wrong
			}
		}
	}
	for _, group := range [...]string{"anyOf", "oneOf", "allOf"} {
		for _, item := range schema.get(group).items {
			if wrong := wrongType(item, depth+1); wrong != "" {
				return wrong
			}
		}
	}
	if items := schema.get("items"); items.object() {
		return wrongType(items, depth+1)
	}
	return ""
}

func (j *anthropicJudge) choice() *problem {
	given := j.ask.body.get("tool_choice")
	if given == nil {
		return nil
	}
	kind := given.get("type").str()
	switch {
	case !among(" auto any tool none ", kind):
		return invalid("tool_choice", "tool_choice: Input tag '%s' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'", kind)
	case j.ask.body.get("tools").length() == 0:
		return invalid("tool_choice", "tool_choice: tool_choice may only be specified while providing tools.")
	case kind == "none" && given.get("disable_parallel_tool_use") != nil:
		return invalid("tool_choice", "tool_choice.none.disable_parallel_tool_use: Extra inputs are not permitted")
	case kind == "tool":
		for _, tool := range j.ask.body.get("tools").items {
			if tool.get("name").str() == given.get("name").str() {
				return nil
			}
		}
		return invalid("tool_choice", "tool_choice.tool.name: Tool '%s' not found in provided tools", given.get("name").str())
	}
	return nil
}

func (j *anthropicJudge) thinking() *problem {
	given := j.ask.body.get("thinking")
	if given == nil {
		return nil
	}
	kind := given.get("type").str()
	forced := j.ask.choice.mode == "any" || j.ask.choice.mode == "tool"
	switch kind {
	case "disabled", "between_tools":
		return nil
	case "enabled":
		budget, ok := given.get("budget_tokens").integer()
		switch {
		case !ok:
			return invalid("thinking", "thinking.enabled.budget_tokens: Field required")
		case budget < 1024:
			return invalid("thinking", "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
		case j.ask.maxTokens >= 0 && budget >= j.ask.maxTokens:
			return invalid("thinking", "`max_tokens` must be greater than `thinking.budget_tokens`.")
		}
	case "adaptive":
		if given.get("budget_tokens") != nil {
			return invalid("thinking", "thinking.adaptive.budget_tokens: Extra inputs are not permitted")
		}
	default:
		return invalid("thinking", "thinking: Input tag '%s' found using 'type' does not match any of the expected tags", kind)
	}
	if forced {
		return invalid("thinking", "Thinking may not be enabled when tool_choice forces tool use.")
	}
	return nil
}

// format holds a schema for structured output against what is supported of JSON Schema.
func (j *anthropicJudge) format() *problem {
	config := j.ask.body.get("output_config")
	if effort := config.get("effort"); effort.given() && !among(" low medium high xhigh max ", effort.str()) {
		return invalid("output_config", "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
	}
	format := config.get("format")
	if format == nil {
		return nil
	}
	if kind := format.get("type").str(); kind != "json_schema" {
		return invalid("output_config", "output_config.format.type: Input should be 'json_schema'")
	}
	if broken := unsupported(format.get("schema"), "output_config.format.schema", 0); broken != "" {
		return invalid("output_config", "%s", broken)
	}
	return nil
}

// unsupported finds a keyword that structured output refuses and says where; "" if there is none.
func unsupported(schema value, at string, depth int) string {
	if depth > schemaDepth {
		return ""
	}
	const refused = " minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems uniqueItems minProperties maxProperties oneOf "
	for key, v := range schema.members {
		if least, _ := v.integer(); among(refused, key) || key == "minItems" && least > 1 {
			return fmt.Sprintf("%s: For '%s' type, property '%s' is not supported", at, schema.get("type").str(), key)
		}
	}
	if sampleType(schema) == "object" && !schema.get("additionalProperties").is('f') {
		return at + ": For 'object' type, 'additionalProperties' must be explicitly set to false"
	}
	for key, member := range schema.get("properties").members {
		if broken := unsupported(member, at+".properties."+key, depth+1); broken != "" {
			return broken
		}
	}
	for n, item := range schema.get("anyOf").items {
		if broken := unsupported(item, fmt.Sprintf("%s.anyOf.%d", at, n), depth+1); broken != "" {
			return broken
		}
	}
	if items := schema.get("items"); items.object() {
		return unsupported(items, at+".items", depth+1)
	}
	return ""
}
