package proxy

import (
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// Where the policy says so, a stream of plain text that breaks goes on at another provider: that one is sent the conversation with the words that
// the client has at its end, and what it says is written behind them, as one answer. What it cannot do is to go on from a call, from reasoning, or
// in the middle of something that must have a form.

// The bounds of a continuation.
const (
	// onwardMax is how often one answer may go on elsewhere.
	onwardMax = 2
	// onwardTimeMin must be left of the request's time for it to be worth while.
	onwardTimeMin = time.Second
)

// mustHaveForm are the needs of requests whose answers are more than plain text, or may become it.
const mustHaveForm = route.Tools | route.JSONSchema | route.JSONObject | route.Choices | route.Logprobs | route.AudioOut | route.WebSearch | route.WebFetch |
	route.CodeExec | route.MCP | route.Container | route.GrammarTools

// mayGoOnward reports a request whose answer may go on elsewhere, should it break.
func (x *exchange) mayGoOnward() bool {
	return x.found.Stream && x.table.Policy().Continuation && (x.found.Ask.Needs|x.found.Ask.Wants)&mustHaveForm == 0
}

// goOnward finds who goes on with the answer of t, which broke; nil when nobody can. t has ended.
func (x *exchange) goOnward(t *try, broken *fault.Fault) *try {
	x.mu.Lock()
	said, ok := t.reply.Onward()
	x.mu.Unlock()
	if !ok || !broken.Kind.Rule().Retry || !x.mayGoOnward() {
		return nil
	}
	x.chooseOnward(t, said)
	for x.onward < onwardMax && x.ctx.Err() == nil && len(x.tries) < attemptsMax && time.Until(x.deadline) > onwardTimeMin {
		if !x.h.budgets.retry(x.h.deps.Vitals.NowMs(), broken) {
			x.h.metrics.budget.Add(1)
			break
		}
		x.onward++
		next, f := x.begin(again{behind: t}, false)
		if f != nil {
			break
		}
		if f = next.run(); f == nil {
			x.h.metrics.onward.Add(1)
			return next
		}
		next.end(f)
		broken = f
		if !f.Kind.Rule().Retry {
			break
		}
	}
	x.h.metrics.onwardFailed.Add(1)
	return nil
}

// chooseOnward chooses anew among those who go on from given words: of providers that speak OpenAI's format only those of whom that is known, as
// most begin anew. The one that broke comes last.
func (x *exchange) chooseOnward(t *try, said int) {
	if x.span.Wanted() {
		x.spanChoice() // of what is replaced now
	}
	ask := x.found.Ask
	ask.Needs |= route.Prefill
	ask.PromptTokens += said / bytesPerToken
	x.view = x.h.look(x.desk, x.table)
	p := picking{ask: &ask, table: x.table, view: &x.view, random: x.random, chain: x.chain}
	x.h.pick(&p)
	x.mu.Lock()
	defer x.mu.Unlock()
	kept, last := p.chain[:0], []route.Candidate(nil)
	for _, c := range p.chain {
		target := x.table.Target(int(c.Target))
		switch {
		case target.Endpoint.Protocol == route.OpenAI && !target.Has.Has(route.Prefill):
		case c.Target == t.candidate.Target:
			last = append(last, c)
		default:
			kept = append(kept, c)
		}
	}
	kept = append(kept, last...)
	x.chain, x.next = kept, 0
}

// bytesPerToken is the usual length of a token of text.
const bytesPerToken = 4
