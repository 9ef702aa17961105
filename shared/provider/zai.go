package provider

import (
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

const (
	zaiHas   = route.Tools | route.Thinking | route.Streaming | route.JSONObject
	zaiLacks = textOnly | route.JSONSchema | route.Choices | route.Logprobs | route.GrammarTools
	// zaiSees is what its vision models lack.
	zaiSees = zaiLacks &^ route.Vision
)

// Z.AI speaks both wires. Subscribers of its coding plan must use the coding address, which they set as base_url. Its 429 means
// concurrency, rate, balance, plan or conduct: only the business code tells which.
var zai = Sheet{
	Kind: "zai",
	Name: "Z.AI",
	Endpoints: []Endpoint{{
		Protocol: route.OpenAI, BaseURL: "https://api.z.ai/api/paas/v4", Path: "/chat/completions", ProbePath: "/models", KeyHeader: "authorization",
	}, {
		Protocol: route.OpenAI, BaseURL: "https://api.z.ai/api/coding/paas/v4", Path: "/chat/completions", ProbePath: "/models", KeyHeader: "authorization",
	}, {
		Protocol: route.Anthropic, BaseURL: "https://api.z.ai/api/anthropic", Path: "/v1/messages", KeyHeader: "authorization",
	}},
	Models: []Model{
		{ID: "glm-5.3", Has: zaiHas, Lacks: zaiLacks, PriceUnknown: true},
		{
			ID: "glm-5.3-flash", ContextWindow: 1_048_576, MaxOutput: 131_072, Has: zaiHas | route.Vision, Lacks: zaiSees, PriceUnknown: true,
			Efforts: []string{"low", "high", "max"}, AlwaysThinks: true,
		},
		{ID: "glm-5.2", Has: zaiHas, Lacks: zaiLacks, Price: usd(1_400, 4_400, 260, 0), Efforts: []string{"high", "max"}},
		{ID: "glm-5.1", Has: zaiHas, Lacks: zaiLacks, PriceUnknown: true},
		{ID: "glm-5-turbo", ContextWindow: 200_000, Has: zaiHas, Lacks: zaiLacks, Price: usd(1_200, 4_000, 0, 0)},
		{ID: "glm-5", Has: zaiHas, Lacks: zaiLacks, Price: usd(1_000, 3_200, 0, 0)},
		{ID: "glm-5v-turbo", Has: zaiHas | route.Vision | route.PDF, Lacks: zaiSees &^ route.PDF, PriceUnknown: true},
		{ID: "glm-4.7", ContextWindow: 204_800, Has: zaiHas, Lacks: zaiLacks, Price: usd(600, 2_200, 0, 0), Efforts: []string{}},
		{ID: "glm-4.7-flash", Has: zaiHas, Lacks: zaiLacks, Efforts: []string{}},
		{ID: "glm-4.6v", Has: zaiHas | route.Vision, Lacks: zaiSees, PriceUnknown: true, Efforts: []string{}},
		{ID: "glm-4.5-air", ContextWindow: 131_072, Has: zaiHas, Lacks: zaiLacks, Price: usd(200, 1_100, 0, 0), Efforts: []string{}},
	},
	Reasoning:      ReasoningContent,
	System:         SystemUser,
	MaxTokensField: "max_tokens",
	Refuses:        []string{"openai:*.cache_control", "openai:*.prompt_cache_breakpoint"},
	Ignores:        []string{"frequency_penalty", "presence_penalty", "logit_bias", "seed", "parallel_tool_calls", "service_tier", "verbosity", "prediction", "store"},
	Takes:          []string{"thinking.clear_thinking"},
	ThinkingOn:     "enabled",
	NoDeveloper:    true,
	StopMax:        1,
	TemperatureMax: 1,
	Codes: map[string]Code{
		"1000": {Kind: fault.Unauthorized, Cooldown: true},
		"1001": {Kind: fault.Unauthorized, Cooldown: true},
		"1002": {Kind: fault.Unauthorized, Cooldown: true},
		"1003": {Kind: fault.Unauthorized, Cooldown: true},
		"1004": {Kind: fault.Unauthorized, Cooldown: true},
		"1113": {Kind: fault.QuotaExhausted, Cooldown: true}, // arrears
		"1210": {Kind: fault.BadRequest},
		"1211": {Kind: fault.NotFound},
		"1212": {Kind: fault.BadRequest},
		"1213": {Kind: fault.BadRequest},
		"1214": {Kind: fault.BadRequest},
		"1215": {Kind: fault.BadRequest},
		"1261": {Kind: fault.ContextTooLong},
		"1301": {Kind: fault.ContentFilter},
		"1302": {Kind: fault.RateLimited},                    // concurrency
		"1303": {Kind: fault.RateLimited},                    // frequency
		"1304": {Kind: fault.QuotaExhausted, Cooldown: true}, // the day's
		"1305": {Kind: fault.RateLimited},                    // flow
		"1308": {Kind: fault.QuotaExhausted, Cooldown: true}, // the plan's window; the message says until when
		"1309": {Kind: fault.QuotaExhausted, Cooldown: true}, // the plan has expired
		"1310": {Kind: fault.QuotaExhausted, Cooldown: true}, // the plan's week
		"1311": {Kind: fault.NotFound},                       // the model is not in the plan; the key is good for others
		"1312": {Kind: fault.Overloaded},                     // this model is busy
		"1313": {Kind: fault.QuotaExhausted, Cooldown: true}, // fair use
	},
	FirstTokenMs: 1_200,
	Priority:     50,
}
