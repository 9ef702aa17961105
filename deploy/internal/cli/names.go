package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/route"
)

// namesPatience is how long a person who presses Tab waits.
const namesPatience = 700 * time.Millisecond

// askNames are the names of a kind, as the running aimux has them that the words and the environment point at; none when it does not answer
// in time.
func askNames(ctx context.Context, words []string, kind string) (names []string) {
	if kind == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, namesPatience)
	defer stop()
	// A name goes through the shell: one that means something there is not offered.
	names = slices.DeleteFunc(pointed(words).names(ctx, kind), func(name string) bool { return name == "" || strings.ContainsFunc(name, meansSomething) })
	slices.Sort(names)
	return slices.Compact(names)
}

// meansSomething tells the characters that a shell may take for more than a part of a word.
func meansSomething(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._:/@+=-", c)
}

// pointed is whom the flags and the environment point at.
func pointed(words []string) *remote {
	env := func(name string) string { return os.Getenv("AIMUX_" + name) }
	r := &remote{Admin: env("ADMIN"), Token: env("TOKEN"), TokenFile: env("TOKEN_FILE"), CA: env("CA"), ClientCert: env("CLIENT_CERT"), ClientKey: env("CLIENT_KEY")}
	for flag, into := range map[string]*string{
		"--admin": &r.Admin, "--token": &r.Token, "--token-file": &r.TokenFile, "--ca": &r.CA, "--client-cert": &r.ClientCert, "--client-key": &r.ClientKey,
	} {
		for i, word := range words {
			if value, ok := strings.CutPrefix(word, flag+"="); ok {
				*into = value
			} else if word == flag && i+1 < len(words) && words[i+1] != "=" {
				*into = words[i+1]
			} else if word == flag && i+2 < len(words) {
				*into = words[i+2]
			}
		}
	}
	if r.Admin == "" {
		r.Admin = adminDefault
	}
	return r
}

// names asks for the names of one kind.
func (r *remote) names(ctx context.Context, kind string) (names []string) {
	switch kind {
	case "provider":
		return each(ctx, &adminv1.ListProvidersRequest{}, r.providers().ListProviders, (*adminv1.ListProvidersResponse).GetProviders, (*adminv1.ProviderEntry).GetId)
	case "key":
		return each(ctx, &adminv1.ListKeysRequest{}, r.keys().ListKeys, (*adminv1.ListKeysResponse).GetKeys, (*adminv1.KeyEntry).GetId)
	case "team":
		return each(ctx, &adminv1.ListTeamsRequest{}, r.keys().ListTeams, (*adminv1.ListTeamsResponse).GetTeams, (*adminv1.TeamEntry).GetId)
	case "token":
		return each(ctx, &adminv1.ListTokensRequest{}, r.tokens().ListTokens, (*adminv1.ListTokensResponse).GetTokens, (*adminv1.TokenEntry).GetId)
	case "webhook":
		return each(ctx, &adminv1.ListWebhooksRequest{}, r.webhooks().ListWebhooks, (*adminv1.ListWebhooksResponse).GetWebhooks, (*adminv1.WebhookEntry).GetName)
	case "node":
		client, base := r.dial()
		return each(ctx, &adminv1.ListNodesRequest{}, adminv1connect.NewNodeServiceClient(client, base).ListNodes, (*adminv1.ListNodesResponse).GetNodes,
			func(n *adminv1.NodeEntry) string { return n.GetHeartbeat().GetNode() })
	case "model", "region":
		return r.tableNames(ctx, kind)
	case "scope":
		return r.scopes(ctx)
	case "class":
		for class := range route.Classes {
			names = append(names, route.Class(class).String())
		}
		return names
	case "status":
		return []string{"2xx", "4xx", "5xx", "429", "500", "502", "503", "504", "529"}
	case "role":
		return []string{"viewer", "operator", "admin"}
	case "event":
		return []string{"transition", "alert"}
	}
	return settingNames(kind)
}

// each lists names out of an answer; none where there is no answer.
func each[Ask, Answer, Entry any](ctx context.Context, ask *Ask, call func(context.Context, *connect.Request[Ask]) (*connect.Response[Answer], error), entries func(*Answer) []Entry, name func(Entry) string) (names []string) {
	answer, err := call(ctx, connect.NewRequest(ask))
	if err != nil {
		return nil
	}
	for _, entry := range entries(answer.Msg) {
		names = append(names, name(entry))
	}
	return names
}

// tableNames are the models or the regions that the nodes route by.
func (r *remote) tableNames(ctx context.Context, kind string) (names []string) {
	client, base := r.dial()
	answer, err := adminv1connect.NewTableServiceClient(client, base).GetTable(ctx, connect.NewRequest(&adminv1.GetTableRequest{}))
	if err != nil {
		return nil
	}
	for _, provider := range answer.Msg.GetConfig().GetProviders() {
		if kind == "region" {
			names = append(names, provider.GetRegion())
			continue
		}
		for _, model := range provider.GetModels() {
			names = append(names, model.GetId())
		}
	}
	return names
}

// scopes are what limits may be set of, short of a provider's single models, of which there are too many to choose from.
func (r *remote) scopes(ctx context.Context) []string {
	all := []string{"all"}
	for _, kind := range []string{"key", "team", "provider"} {
		for _, name := range r.names(ctx, kind) {
			all = append(all, kind+"/"+name)
			if kind == "provider" {
				all = append(all, kind+"/"+name+"/keys")
			}
		}
	}
	return append(all, each(ctx, &adminv1.ListLimitsRequest{}, r.limits().ListLimits, (*adminv1.ListLimitsResponse).GetLimits, (*adminv1.LimitEntry).GetScope)...)
}

// settingNames are the names of a message's settings, each with what a value is put behind.
func settingNames(kind string) (names []string) {
	var message proto.Message
	switch kind {
	case "provider-setting":
		message = &adminv1.Provider{}
	case "routing-setting":
		message = &adminv1.Routing{}
	case "limit-setting":
		message = &adminv1.Limits{}
	case "auth-setting":
		message = &adminv1.Auth{}
	default:
		return nil
	}
	fields := message.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		names = append(names, string(fields.Get(i).Name())+"=")
	}
	return names
}
