package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
)

// sdkScenarios are the scripted provider's answers that the SDK tests ask for, each as a model.
var sdkScenarios = []string{"thinking", "tool", "tools-parallel", "status=400", "cut", "first=10s", "image"}

// apart are n providers for a scenario that takes a provider's only key out of use: whoever asks has one alone, named by its number.
func apart(wire, scenario string, n int) map[string]any {
	providers := map[string]any{}
	for i := range n {
		settings := compatible(wire, scenario)
		settings["models"] = settings["models"].([]any)[1:]
		providers[apartID(scenario, i)] = settings
	}
	return providers
}

func apartID(scenario string, i int) string {
	return strings.NewReplacer("=", "-", "&", "-").Replace(fmt.Sprintf("%s-%d", scenario, i))
}

// answer is what a client understood, the same for every SDK.
type answer struct {
	text, thinking, stop string
	calls                []call
	output               int64
}

type call struct{ name, arguments string }

// client is an official SDK as a user would use it.
type client struct {
	name   string
	ask    func(ctx context.Context, base, model string, stream bool) (answer, error)
	chat   func(ctx context.Context, base, model string) (answer, error) // a stream, and no tools
	status func(error) int                                               // of an API error; 0 for any other
}

var clients = []client{
	{"anthropic-sdk-go", askAnthropic, chatAnthropic, func(err error) int {
		if refused, ok := errors.AsType[*anthropic.Error](err); ok {
			return refused.StatusCode
		}
		return 0
	}},
	{"openai-go", askOpenAI, chatOpenAI, func(err error) int {
		if refused, ok := errors.AsType[*openai.Error](err); ok {
			return refused.StatusCode
		}
		return 0
	}},
}

func askAnthropic(ctx context.Context, base, model string, stream bool) (answer, error) {
	return talkAnthropic(ctx, base, model, stream, []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name: "get_weather", Description: anthropic.String("The weather of a city"),
		InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"city": map[string]any{"type": "string"}}, Required: []string{"city"}},
	}}})
}

func chatAnthropic(ctx context.Context, base, model string) (answer, error) {
	return talkAnthropic(ctx, base, model, true, nil)
}

func talkAnthropic(ctx context.Context, base, model string, stream bool, tools []anthropic.ToolUnionParam) (answer, error) {
	api := anthropic.NewClient(anthropicoption.WithBaseURL(base), anthropicoption.WithAPIKey("any"), anthropicoption.WithMaxRetries(0))
	params := anthropic.MessageNewParams{
		MaxTokens: 1024, Model: model, Tools: tools,
		System: []anthropic.TextBlockParam{{Text: "Be brief."}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(
			anthropic.NewTextBlock("What is the weather in Oslo?"), anthropic.NewImageBlockBase64("image/png", onePixel),
		)},
	}
	var message *anthropic.Message
	if stream {
		message = &anthropic.Message{}
		events := api.Messages.NewStreaming(ctx, params)
		ended := false
		for events.Next() {
			if err := message.Accumulate(events.Current()); err != nil {
				return answer{}, err
			}
			ended = ended || events.Current().Type == "message_stop"
		}
		if events.Err() != nil {
			return answer{}, events.Err()
		}
		if !ended {
			return answer{}, errors.New("the stream ended without message_stop and without an error")
		}
	} else {
		var err error
		if message, err = api.Messages.New(ctx, params); err != nil {
			return answer{}, err
		}
	}
	got := answer{stop: string(message.StopReason), output: message.Usage.OutputTokens}
	for _, block := range message.Content {
		got.text += block.Text
		got.thinking += block.Thinking
		if block.Type == "tool_use" {
			got.calls = append(got.calls, call{block.Name, string(block.Input)})
		}
	}
	return got, nil
}

func askOpenAI(ctx context.Context, base, model string, stream bool) (answer, error) {
	return talkOpenAI(ctx, base, model, stream, []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "get_weather", Description: openai.String("The weather of a city"),
		Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}},
	})})
}

func chatOpenAI(ctx context.Context, base, model string) (answer, error) {
	return talkOpenAI(ctx, base, model, true, nil)
}

func talkOpenAI(ctx context.Context, base, model string, stream bool, tools []openai.ChatCompletionToolUnionParam) (answer, error) {
	api := openai.NewClient(openaioption.WithBaseURL(base+"/v1"), openaioption.WithAPIKey("any"), openaioption.WithMaxRetries(0))
	params := openai.ChatCompletionNewParams{
		Model: model, Tools: tools,
		Messages: []openai.ChatCompletionMessageParamUnion{
			openai.SystemMessage("Be brief."),
			openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
				openai.TextContentPart("What is the weather in Oslo?"),
				openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "data:image/png;base64," + onePixel}),
			}),
		},
	}
	if !stream {
		completion, err := api.Chat.Completions.New(ctx, params)
		if err != nil {
			return answer{}, err
		}
		return readCompletion(completion), nil
	}
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	var sum openai.ChatCompletionAccumulator
	events := api.Chat.Completions.NewStreaming(ctx, params)
	for events.Next() {
		if !sum.AddChunk(events.Current()) {
			return answer{}, errors.New("the accumulator refused a chunk")
		}
	}
	if events.Err() != nil {
		return answer{}, events.Err()
	}
	if len(sum.Choices) == 0 || sum.Choices[0].FinishReason == "" {
		return answer{}, errors.New("the stream ended without finish_reason and without an error")
	}
	return readCompletion(&sum.ChatCompletion), nil
}

func readCompletion(completion *openai.ChatCompletion) answer {
	message := completion.Choices[0].Message
	got := answer{text: message.Content, stop: completion.Choices[0].FinishReason, output: completion.Usage.CompletionTokens}
	if field, ok := message.JSON.ExtraFields["reasoning_content"]; ok {
		_ = json.Unmarshal([]byte(field.Raw()), &got.thinking)
	}
	for _, one := range message.ToolCalls {
		got.calls = append(got.calls, call{one.Function.Name, one.Function.Arguments})
	}
	return got
}

// TestSDKs has both official Go SDKs talk to both kinds of upstream, streaming and not, through every form of aimux.
func TestSDKs(t *testing.T) {
	for _, wire := range []string{"anthropic", "openai"} {
		t.Run(wire+" upstream", func(t *testing.T) {
			providers := apart(wire, limited, 2*len(clients))
			providers["up"] = compatible(wire, sdkScenarios...)
			eachForm(t, providers, func(t *testing.T, house *House) {
				for i, client := range clients {
					for j, mode := range []string{"plain", "stream"} {
						t.Run(client.name+" "+mode, func(t *testing.T) {
							talk(t, client, house.Data[len(house.Data)-1], mode == "stream", apartID(limited, 2*i+j)+"/"+limited)
						})
					}
				}
			})
		})
	}
}

// limited is a provider over its rate.
const limited = "status=429&retry-after=1"

// talk goes through what a user of an SDK relies on. own is a model over its rate that nobody else asks for.
func talk(t *testing.T, client client, base string, stream bool, own string) {
	ask := func(model string) answer {
		t.Helper()
		got, err := client.ask(t.Context(), base, model, stream)
		if err != nil {
			t.Fatalf("%s: %v", model, err)
		}
		return got
	}
	if got := ask("text"); got.text == "" || got.output == 0 || !slices.Contains([]string{"end_turn", "stop"}, got.stop) || len(got.calls) != 0 {
		t.Errorf("text: %+v", got)
	}
	one := ask("tool")
	if len(one.calls) != 1 || one.calls[0].name != "get_weather" || !json.Valid([]byte(one.calls[0].arguments)) || !slices.Contains([]string{"tool_use", "tool_calls"}, one.stop) {
		t.Errorf("tool: %+v", one)
	}
	if got := ask("tools-parallel"); len(got.calls) < 2 || slices.ContainsFunc(got.calls, func(c call) bool { return !strings.Contains(c.arguments, "city") }) {
		t.Errorf("parallel tools: %+v", got)
	}
	if got := ask("image"); !strings.Contains(got.text, "1 images") || !strings.Contains(got.text, "image/png, 70 bytes") {
		t.Errorf("image: %+v", got)
	}
	if got := ask("thinking"); got.thinking == "" && client.name == "anthropic-sdk-go" || got.text == "" {
		t.Errorf("thinking: %+v", got)
	}
	for model, status := range map[string]int{"status=400": 400, own: 429} {
		if _, err := client.ask(t.Context(), base, model, stream); client.status(err) != status {
			t.Errorf("%s: %v, want an API error of status %d", model, err, status)
		}
	}
	if got, err := client.ask(t.Context(), base, "cut", stream); err == nil {
		t.Errorf("a stream that broke upstream was called a success: %+v", got)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := client.ask(gone, base, "first=10s", stream); !errors.Is(err, context.Canceled) {
		t.Errorf("leaving: %v", err)
	}
}
