package proxy

import (
	"fmt"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/dataplane/internal/keeper"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/route"
)

// Explain says what this node would do with a request, and sends nothing. Safe for concurrent use.
func (h *Handler) Explain(ask *tablev1.ExplainRequest) *tablev1.Explanation {
	s := h.deps.Snapshot()
	if s == nil {
		return &tablev1.Explanation{Node: h.config.Node, Error: "this node has no routing table yet"}
	}
	caller := s.Table.Auth().Caller(ask.GetCaller())
	if caller == nil && ask.GetCaller() != "" {
		return &tablev1.Explanation{Node: h.config.Node, Error: fmt.Sprintf("there is no client key %q", ask.GetCaller())}
	}
	headers := ask.GetHeaders()
	var found analyze.Result
	hints := analyze.Hints{
		Session: headers["x-claude-code-session-id"], Agent: headers["x-claude-code-agent-id"],
		Prefer: headers["x-aimux-prefer"], ClientUA: headers["user-agent"],
	}
	protocols, ok := spoken(ask.GetProtocol())
	if !ok {
		return &tablev1.Explanation{Node: h.config.Node, Error: `protocol must be "anthropic" or "openai", or empty for the one that the body fits`}
	}
	var first *analyze.Problem
	for _, protocol := range protocols {
		problem := analyze.Body(protocol, ask.GetBody(), &s.Warm.analysis, &hints, &found)
		if found.Ask.Protocol = protocol; problem == nil {
			return h.explainFor(caller, s, &found)
		}
		if first == nil {
			first = problem
		}
	}
	return &tablev1.Explanation{Node: h.config.Node, Error: first.Error()}
}

// explainFor is explain for the holder of a key, nil for somebody without a scope.
func (h *Handler) explainFor(caller *route.Caller, s *keeper.Snapshot[*Desk], found *analyze.Result) *tablev1.Explanation {
	if caller == nil {
		return h.explain(s, found)
	}
	found.Ask.Scope = caller.Scope
	e := h.explain(s, found)
	e.Caller, e.Team = caller.ID, caller.Team
	return e
}

// spoken are the formats to read a body by, in order. A body that does not say is Anthropic's if it fits: its format asks for more.
func spoken(name string) (protocols []route.Protocol, ok bool) {
	if name == "" {
		return []route.Protocol{route.Anthropic, route.OpenAI}, true
	}
	protocol, ok := route.ParseProtocol(name)
	return []route.Protocol{protocol}, ok
}
