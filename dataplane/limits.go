package dataplane

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/dataplane/internal/auth"
	"github.com/aimux/aimux/dataplane/internal/limit"
	"github.com/aimux/aimux/dataplane/internal/proxy"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
	"github.com/aimux/aimux/shared/telemetry"
)

// limits are the room for requests as the proxy asks for it.
type limits struct{ *limit.Limiter }

// newLimits shares limits with the other nodes through Redis, or where there is none keeps to this node's part of them.
func (n *node) newLimits() error {
	var source limit.Source
	if n.cfg.Redis != "" {
		redis, err := limit.NewRedis(limit.RedisConfig{URL: n.cfg.Redis, Cluster: n.cfg.Cluster, Region: n.cfg.Region, TLS: n.deps.RedisTLS, Dial: n.deps.DialRedis})
		if err != nil {
			return fmt.Errorf("--redis: %w", err)
		}
		source = redis
	}
	deps := limit.Deps{Source: source, Log: n.deps.Log}
	if n.deps.Bus != nil {
		deps.Ledger = n.spent
	}
	n.limits = limits{limit.New(limit.Config{Node: fmt.Sprintf("%s.%d", n.cfg.ID, n.boot.UnixMilli())}, deps)}
	return nil
}

// spent asks the control plane's ledger; it is a limit.Ledger.
func (n *node) spent(ctx context.Context, budgets []limit.Budget, spent []limit.Spent) error {
	ask := make([]*outcomev1.Budget, len(budgets))
	for i, b := range budgets {
		ask[i] = &outcomev1.Budget{Scope: b.Scope, Period: b.Period}
	}
	known, err := n.deps.Bus.FetchSpent(ctx, ask)
	if err != nil {
		return err
	}
	for i, s := range known {
		spent[i] = limit.Spent{Here: int64(min(s.GetHereNanoUsd(), math.MaxInt64)), All: int64(min(s.GetAllNanoUsd(), math.MaxInt64))}
	}
	return nil
}

func known(c auth.Caller) limit.Caller {
	return limit.Caller{Key: c.Key, Subject: c.Subject, Team: c.Team}
}

// Admit implements proxy.Limits.
func (l limits) Admit(caller auth.Caller, ask *route.Ask) (proxy.Permit, *fault.Fault) {
	return l.Limiter.Admit(known(caller), ask)
}

// Enter implements proxy.Limits.
func (l limits) Enter(target *route.Target, credential string, ask *route.Ask) (proxy.Permit, *fault.Fault) {
	return l.Limiter.Enter(target, credential, ask)
}

// Rates implements proxy.Limits.
func (l limits) Rates(caller auth.Caller) proxy.Rates {
	r := l.Limiter.Rates(known(caller))
	return proxy.Rates{Requests: proxy.Rate(r.Requests), Tokens: proxy.Rate(r.Tokens), Input: proxy.Rate(r.Input), Output: proxy.Rate(r.Output)}
}

// Wait implements proxy.Limits.
func (l limits) Wait(ctx context.Context, w proxy.Wish) bool {
	return l.Limiter.Wait(ctx, limit.Wish{Lane: w.Lane, Priority: w.Caller.Priority, Caller: w.Caller.Name, Longest: w.Longest, Depth: w.Depth, Try: w.Try})
}

// warm makes a table ready for use. Its limits hold before it is, and its scripted providers are there.
func (n *node) warm(table *route.Table) (*proxy.Desk, error) {
	desk, err := n.handler.Warm(table)
	if err == nil {
		n.limits.Apply(table, n.nodesLive())
		n.scripted.apply(table)
	}
	return desk, err
}

// nodesLive is how many nodes share the limits, as the control plane last said, in an earlier life of this node if need be; 0 as long as it
// never has.
func (n *node) nodesLive() int {
	if s := n.keeper.Snapshot(); s != nil {
		return s.Table.NodesHeard()
	}
	return 0
}

// limitReadings are one series per limit each, and how the store does that shares them out.
func (n *node) limitReadings() {
	labels := []string{"scope", "what"}
	for _, f := range []struct {
		name, help string
		counter    bool
		value      func(s *limit.Sign) float64
	}{
		{"aimux_limit", "The cluster's limit.", false, func(s *limit.Sign) float64 { return float64(s.Limit) }},
		{"aimux_limit_in_use", "Slots of the limit in use at this node.", false, func(s *limit.Sign) float64 { return float64(s.InUse) }},
		{"aimux_limit_leased", "Slots that this node holds by lease.", false, func(s *limit.Sign) float64 { return float64(s.Leased) }},
		{"aimux_limit_allowance", "Slots that this node goes by: its lease, or without one what the limit's mode says.", false, func(s *limit.Sign) float64 { return float64(s.Allowance) }},
		{"aimux_limit_stock", "Units that this node has fetched and not used; below zero a debt.", false, func(s *limit.Sign) float64 { return float64(s.Stock) }},
		{"aimux_limit_left", "Units or billionths of a dollar of the limit that no node had drawn when the store last said.", false, func(s *limit.Sign) float64 { return float64(s.Left) }},
		{"aimux_limit_block", "Units that this node fetches ahead: by so many it may be over the limit.", false, func(s *limit.Sign) float64 { return float64(s.Block) }},
		{"aimux_limit_beyond", "Slots that this node may be using although others may have been given them; the sum over all nodes is how far the limit may be exceeded.", false, func(s *limit.Sign) float64 { return float64(s.Beyond) }},
		{"aimux_limit_refused_total", "Requests and attempts that the limit had no room for.", true, func(s *limit.Sign) float64 { return float64(s.Refused) }},
	} {
		n.metrics.Read(telemetry.Reading{Name: f.name, Help: f.help, Counter: f.counter, Labels: labels, Read: func(give func(float64, ...string)) {
			n.limits.Signs(func(s limit.Sign) {
				if !s.Caller { // a series for each of thousands of callers would be one too many
					give(f.value(&s), s.Scope, s.What)
				}
			})
		}})
	}
	n.queueReadings()
	n.usageReadings()
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_limit_callers", Help: "Client keys, subjects and teams with limits that have called lately.", Labels: []string{"kind"},
		Read: func(give func(float64, ...string)) {
			s := n.limits.CallersState()
			give(float64(s.Keys), "key")
			give(float64(s.Subjects), "subject")
			give(float64(s.Teams), "team")
		},
	})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_limit_callers_refused_total", Help: "Requests that a caller's own limits had no room for.", Counter: true, Labels: []string{"kind"},
		Read: func(give func(float64, ...string)) {
			s := n.limits.CallersState()
			give(float64(s.KeysRefused), "key")
			give(float64(s.SubjectsRefused), "subject")
			give(float64(s.TeamsRefused), "team")
		},
	})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_limit_subjects_crowded_total", Help: "Requests refused because more subjects of an issuer called than this node holds within limits at a time.", Counter: true,
		Read: func(give func(float64, ...string)) { give(float64(n.limits.CallersState().SubjectsCrowded)) },
	})
	n.metrics.Read(telemetry.Reading{Name: "aimux_limit_store_up", Help: "1 while the store of limits answers.", Read: func(give func(float64, ...string)) {
		give(oneIf(n.limits.SourceState().Answers))
	}})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_limit_store_rounds_total", Help: "Times that the store of limits was asked.", Counter: true, Labels: []string{"result"},
		Read: func(give func(float64, ...string)) {
			s := n.limits.SourceState()
			give(float64(s.Rounds), "answered")
			give(float64(s.Failures), "failed")
		},
	})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_limit_store_commands_total", Help: "Commands sent to the store of limits.", Counter: true,
		Read: func(give func(float64, ...string)) { give(float64(n.limits.SourceState().Asks)) },
	})
}

// usageReadings are what was used and is not yet kept elsewhere.
func (n *node) usageReadings() {
	n.metrics.Read(telemetry.Reading{Name: "aimux_usage_blocks_waiting", Help: "Blocks of usage that wait to be kept in the ledger's stream.", Read: func(give func(float64, ...string)) {
		give(float64(n.usage.Stats().Waiting))
	}})
	n.metrics.Read(telemetry.Reading{Name: "aimux_usage_blocks_kept_total", Help: "Blocks of usage that the ledger's stream has kept.", Counter: true, Read: func(give func(float64, ...string)) {
		give(float64(n.usage.Stats().Kept))
	}})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_usage_lost_total", Help: "Blocks of usage dropped for lack of room, requests that found no room in one, and requests of subjects that are counted together.", Counter: true, Labels: []string{"what"},
		Read: func(give func(float64, ...string)) {
			s := n.usage.Stats()
			give(float64(s.Dropped), "blocks")
			give(float64(s.Lost), "requests")
			give(float64(s.Merged), "subjects")
		},
	})
}

// queueReadings are how many wait for room, and how it went for those who did.
func (n *node) queueReadings() {
	n.metrics.Read(telemetry.Reading{Name: "aimux_queue_waiting", Help: "Requests that wait for room within limits.", Read: func(give func(float64, ...string)) {
		give(float64(n.limits.QueueState().Waiting))
	}})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_queue_requests_total", Help: "Requests that waited for room, by how that ended.", Counter: true, Labels: []string{"result"},
		Read: func(give func(float64, ...string)) {
			s := n.limits.QueueState()
			give(float64(s.Served), "served")
			give(float64(s.Expired), "expired")
			give(float64(s.Shed), "shed")
			give(float64(s.Left), "left")
		},
	})
}

// signsTold is of how many limits a heartbeat tells, and signsBytes in how many bytes; half of them may be subjects', of whom there may be any
// number.
const (
	signsTold  = 128
	signsBytes = 8 << 10
)

// limitSigns are the limits that are used most at this node, for its heartbeat.
func (n *node) limitSigns() (told []*tablev1.LimitSign) {
	var used []limit.Sign
	n.limits.Signs(func(s limit.Sign) {
		if s.Used() > 0 || s.Beyond > 0 || s.Refused > 0 {
			used = append(used, s)
		}
	})
	slices.SortFunc(used, func(a, b limit.Sign) int { return cmp.Compare(b.Used(), a.Used()) })
	subjects, size := 0, 0
	for _, s := range used {
		if s.Subject {
			subjects++
		}
		if s.Subject && subjects > signsTold/2 {
			continue
		}
		sign := &tablev1.LimitSign{Scope: s.Scope, What: s.What, Limit: s.Limit, InUse: s.InUse, Left: s.Left, Beyond: s.Beyond, Refused: s.Refused}
		if size += proto.Size(sign); len(told) == signsTold || size > signsBytes {
			break
		}
		told = append(told, sign)
	}
	return told
}

// signsMax bounds the page of limits; ?key= asks for those whose scope contains it.
const signsMax = 1_000

// debugLimits says what is left of every limit at this node, and how the store does that shares them out.
func (n *node) debugLimits(query map[string][]string) ([]byte, string) {
	wanted := ""
	if asked := query["key"]; len(asked) > 0 {
		wanted = asked[0]
	}
	all := []limit.Sign{}
	n.limits.Signs(func(s limit.Sign) {
		if len(all) < signsMax && strings.Contains(s.Scope, wanted) {
			all = append(all, s)
		}
	})
	slices.SortFunc(all, func(a, b limit.Sign) int { return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.What, b.What)) })
	return page(struct {
		Store   limit.SourceState  `json:"store"`
		Queue   limit.QueueState   `json:"queue"`
		Callers limit.CallersState `json:"callers"`
		Limits  []limit.Sign       `json:"limits"`
	}{n.limits.SourceState(), n.limits.QueueState(), n.limits.CallersState(), all})
}
