package e2e

import (
	"context"
	"errors"
	"testing"

	"connectrpc.com/connect"
	"github.com/anthropics/anthropic-sdk-go/v2"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/v2/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// keyed are the official Go SDKs in the ways in which they send a key; each answers with the status of the error that its user sees, 200 for
// none.
var keyed = map[string]func(ctx context.Context, base, key string) int{
	"anthropic-sdk-go with an API key": func(ctx context.Context, base, key string) int {
		return sayAnthropic(ctx, base, anthropicoption.WithAPIKey(key))
	},
	"anthropic-sdk-go with an auth token": func(ctx context.Context, base, key string) int {
		return sayAnthropic(ctx, base, anthropicoption.WithAuthToken(key))
	},
	"anthropic-sdk-go with a dummy beside it": func(ctx context.Context, base, key string) int {
		return sayAnthropic(ctx, base, anthropicoption.WithHeader("X-Api-Key", "sk-ant-dummy"), anthropicoption.WithAuthToken(key))
	},
	"openai-go": func(ctx context.Context, base, key string) int {
		api := openai.NewClient(openaioption.WithBaseURL(base+"/v1"), openaioption.WithAPIKey(key))
		_, err := api.Chat.Completions.New(ctx, openai.ChatCompletionNewParams{Model: "text", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Hi")}})
		if refused, ok := errors.AsType[*openai.Error](err); ok {
			return refused.StatusCode
		}
		return seen(err)
	},
}

func sayAnthropic(ctx context.Context, base string, options ...anthropicoption.RequestOption) int {
	api := anthropic.NewClient(append([]anthropicoption.RequestOption{anthropicoption.WithBaseURL(base)}, options...)...)
	_, err := api.Messages.New(ctx, anthropic.MessageNewParams{
		Model: "text", MaxTokens: 10, Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Hi"))},
	})
	if refused, ok := errors.AsType[*anthropic.Error](err); ok {
		return refused.StatusCode
	}
	return seen(err)
}

func seen(err error) int {
	if err != nil {
		return 0
	}
	return 200
}

// TestClientsWithKeys has real clients come with a key, with one whose scope is elsewhere, with a revoked one and with a token, as their users
// would: the first is served by providers of both kinds, the others are told at the first try.
func TestClientsWithKeys(t *testing.T) {
	dir := clientsInstalled(t)
	t.Setenv("ANTHROPIC_API_KEY", "") // whatever this machine has is not for the test
	t.Setenv("ANTHROPIC_AUTH_TOKEN", "")
	house, home := callersHouse(t, Forms[0])
	keys := map[string]int{
		house.key(t, "good", &adminv1.ClientKey{Team: "red"}):                                        200,
		house.key(t, "scoped", &adminv1.ClientKey{Scope: &adminv1.Scope{Models: []string{"other"}}}): 403,
		house.key(t, "revoked", nil):                                                                 401,
		home.Sign(t, "RS256", home.Good("ada", "aimux", nil), nil):                                   200,
	}
	if _, err := house.Keys(0).RevokeKey(t.Context(), connect.NewRequest(&adminv1.RevokeKeyRequest{Id: "revoked", Wait: true})); err != nil {
		t.Fatal(err)
	}
	var jobs []job
	for key, want := range keys {
		for name, say := range keyed {
			if got := say(t.Context(), house.Data[0], key); got != want {
				t.Errorf("%s with %.12s…: %d, want %d", name, key, got, want)
			}
		}
		for _, client := range nodeClients {
			for _, stream := range []bool{true, false} {
				jobs = append(jobs, job{client, house.Data[0], "text", stream, "text", key})
			}
		}
	}
	for i, got := range askMany(t, dir, jobs) {
		status := 200
		if got.Error != nil {
			status = got.Error.Status
		}
		if status != keys[jobs[i].Key] {
			t.Errorf("%s, stream %v, with %.12s…: %d, want %d: %+v", jobs[i].Client, jobs[i].Stream, jobs[i].Key, status, keys[jobs[i].Key], got)
		}
	}
}
