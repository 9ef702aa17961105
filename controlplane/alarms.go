package controlplane

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/route"
)

// capacityLeast, budgetLeast and the holds are what alerts go by: how little, and for how long.
const (
	capacityLeast = 0.5
	budgetLeast   = 0.1
	capacityHold  = 30 * time.Second
	driftHold     = 30 * time.Second
	// alarmsMax bounds what may be wrong at once, alarmNames how many an alert's text lists.
	alarmsMax  = 1024
	alarmNames = 4
)

// alarmKey names an alert.
type alarmKey struct {
	Name    string `json:"name"`
	Subject string `json:"subject,omitempty"`
}

// alarm is an alert that may fire or does.
type alarm struct {
	since  time.Time
	firing bool
	value  float64
}

// alarmNews is an alarm that began to fire, or ended.
type alarmNews struct {
	key    alarmKey
	since  time.Time
	firing bool
	value  float64
	// text says why, page of the dashboard more.
	text, page string
}

// alarms are what is wrong, or has begun to be.
type alarms map[alarmKey]*alarm

// keys are in order.
func (a alarms) keys() []alarmKey {
	return slices.SortedFunc(maps.Keys(a), func(x, y alarmKey) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Subject, y.Subject)) })
}

// sight is one thing looked at: whether it is bad, and for how long it may be.
type sight struct {
	alarmKey
	bad   bool
	hold  time.Duration
	value float64
	text  string
	page  string
	// unknown says that nobody can tell now: nothing begins or ends.
	unknown bool
}

// look is what begins or ends with a region's view. Who has not heard all nodes yet judges nothing.
func (a alarms) look(now time.Time, region string, view *admin.View) (news []alarmNews) {
	if view.Listening {
		return nil
	}
	seen := map[alarmKey]bool{}
	for _, s := range sights(region, view) {
		seen[s.alarmKey] = true
		one := a[s.alarmKey]
		if s.bad && one == nil && len(a) < alarmsMax {
			one = &alarm{since: now}
			a[s.alarmKey] = one
		}
		switch {
		case s.unknown || one == nil:
		case s.bad:
			one.value = s.value
			if !one.firing && now.Sub(one.since) >= s.hold {
				one.firing = true
				news = append(news, alarmNews{s.alarmKey, one.since, true, s.value, s.text, s.page})
			}
		default:
			if one.firing {
				news = append(news, alarmNews{s.alarmKey, one.since, false, s.value, s.text, s.page})
			}
			delete(a, s.alarmKey)
		}
	}
	for _, key := range a.keys() {
		if one := a[key]; !seen[key] { // its subject is gone
			if key.Name == nodeGone && now.Sub(one.since) < nodeForget {
				continue // the leader before this one has heard the node, this one never has
			}
			if one.firing {
				news = append(news, alarmNews{key, one.since, false, one.value, "it is there no more", ""})
			}
			delete(a, key)
		}
	}
	return news
}

// sights is everything that is looked at in a region's view.
func sights(region string, view *admin.View) []sight {
	var nodes []*adminv1.NodeEntry // the other regions' leaders tell of theirs
	for _, node := range view.Nodes {
		if node.GetHeartbeat().GetRegion() == region {
			nodes = append(nodes, node)
		}
	}
	all := capacitySight(view)
	all = append(all, driftSight(view.Revision, nodes))
	all = append(all, classSights(view)...)
	all = append(all, nodeSights(nodes)...)
	return append(all, budgetSights(view)...)
}

// capacitySight is whether too much of the providers is out.
func capacitySight(view *admin.View) []sight {
	share, known := capacity(view)
	if !known {
		return nil
	}
	text := fmt.Sprintf("health leaves %.0f %% of the providers' capacity in use", 100*share)
	if out := reduced(view); len(out) > 0 {
		text += "; reduced: " + some(out)
	}
	return []sight{{alarmKey: alarmKey{Name: "capacity_short"}, bad: share < capacityLeast, hold: capacityHold, value: share, text: text, page: "providers"}}
}

// reduced are the providers that do not have all of their share, with the reasons.
func reduced(view *admin.View) (all []string) {
	for _, t := range view.Health.GetTargets() {
		if t.GetModel() == "" && t.GetCredential() == "" && t.GetWeightPpm() < 1e6 {
			all = append(all, why(t))
		}
	}
	return all
}

// why is a target's state with its reason.
func why(t *tablev1.TargetHealth) string {
	name := t.GetProvider()
	if t.GetModel() != "" {
		name += "/" + t.GetModel()
	}
	text := fmt.Sprintf("%s (%s", name, words(t.GetState()))
	if t.GetReason() != "" {
		text += ": " + t.GetReason()
	}
	return text + ")"
}

// some are the first few of a list.
func some(all []string) string {
	if more := len(all) - alarmNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:alarmNames], ", "), more)
	}
	return strings.Join(all, ", ")
}

// driftSight is whether nodes stay behind the catalog.
func driftSight(revision uint64, nodes []*adminv1.NodeEntry) sight {
	var behind []string
	live := 0
	for _, node := range nodes {
		if !node.GetLive() {
			continue
		}
		live++
		switch beat := node.GetHeartbeat(); {
		case beat.GetNack() != nil:
			behind = append(behind, fmt.Sprintf("%s refuses revision %d: %s", beat.GetNode(), beat.GetNack().GetConfigRevision(), beat.GetNack().GetReason()))
		case node.GetDrift() > 0:
			behind = append(behind, fmt.Sprintf("%s is at revision %d", beat.GetNode(), beat.GetApplied().GetConfigRevision()))
		}
	}
	text := fmt.Sprintf("%d of %d nodes are behind the catalog, revision %d", len(behind), live, revision)
	if len(behind) > 0 {
		text += ": " + some(behind)
	}
	return sight{alarmKey: alarmKey{Name: "drift"}, bad: len(behind) > 0, hold: driftHold, value: float64(len(behind)), text: text, page: "nodes"}
}

// need is what a model must be able to do for a class of requests.
type need struct {
	class route.Class
	can   route.Capability
}

// classSights are whether somebody is left to serve each class of requests, who is more than the fallback.
func classSights(view *admin.View) (all []sight) {
	out := map[[2]string]*tablev1.TargetHealth{}
	for _, t := range view.Health.GetTargets() {
		if s := t.GetState(); t.GetCredential() == "" && (s == tablev1.State_STATE_CIRCUIT_OPEN || s == tablev1.State_STATE_HALF_OPEN) {
			out[[2]string{t.GetProvider(), t.GetModel()}] = t
		}
	}
	for _, c := range []need{{route.Standard, 0}, {route.ClassThinking, route.Thinking}, {route.ClassVision, route.Vision}, {route.ClassTools, route.Tools}} {
		able, left, fallback, reasons := 0, 0, "", []string(nil)
		for _, p := range view.Config.GetProviders() {
			for _, m := range p.GetModels() {
				if !p.GetEnabled() || !route.Capability(m.GetHas()|m.GetUnknown()).Has(c.can) {
					continue
				}
				t := cmp.Or(out[[2]string{p.GetId(), ""}], out[[2]string{p.GetId(), m.GetId()}])
				switch {
				case p.GetFallback() && t == nil:
					fallback = "; the fallback " + p.GetId() + " serves"
				case p.GetFallback():
				case t == nil:
					able, left = able+1, left+1
				default:
					able++
					if reason := why(t); !slices.Contains(reasons, reason) {
						reasons = append(reasons, reason)
					}
				}
			}
		}
		if able == 0 {
			continue
		}
		text := fmt.Sprintf("%d of %d models that can serve it are up", left, able)
		if len(reasons) > 0 {
			text += fallback + "; out: " + some(reasons)
		}
		all = append(all, sight{alarmKey: alarmKey{"class_unserved", c.class.String()}, bad: left == 0, value: float64(left), text: text, page: "providers"})
	}
	return all
}

// nodeGone is the alert of a node that is silent.
const nodeGone = "node_gone"

// nodeSights are whether nodes are gone that did not say that they go.
func nodeSights(nodes []*adminv1.NodeEntry) (all []sight) {
	for _, node := range nodes {
		beat := node.GetHeartbeat()
		text := fmt.Sprintf("%s is heard", beat.GetNode())
		bad := !node.GetLive() && !beat.GetDraining()
		if bad {
			text = fmt.Sprintf("%s at %s has not been heard since %s and did not say that it goes; %d requests were in flight", beat.GetNode(), cmp.Or(beat.GetAddress(), "an unknown address"),
				clockTime(time.UnixMilli(node.GetLastHeardUnixMs())), beat.GetInFlight())
		}
		all = append(all, sight{alarmKey: alarmKey{nodeGone, beat.GetNode()}, bad: bad, text: text, page: "nodes"})
	}
	return all
}

// budgetSights are whether budgets end soon. Of one that no node tells of, nobody knows.
func budgetSights(view *admin.View) (all []sight) {
	reported := map[alarmKey]bool{}
	for _, node := range view.Nodes {
		for _, sign := range node.GetHeartbeat().GetLimits() {
			if node.GetLive() {
				reported[alarmKey{sign.GetScope(), sign.GetWhat()}] = true
			}
		}
	}
	for _, use := range admin.Uses(view) {
		period, dollars := strings.CutPrefix(use.GetWhat(), "dollars_per_")
		if !dollars || use.GetLimit() <= 0 {
			continue
		}
		left := 1 - use.GetUsed()/use.GetLimit()
		all = append(all, sight{
			alarmKey: alarmKey{"budget_nearly_spent", use.GetScope() + " " + use.GetWhat()}, bad: left < budgetLeast, value: left, page: "limits",
			unknown: !reported[alarmKey{use.GetScope(), use.GetWhat()}],
			text:    fmt.Sprintf("%s has spent $%.2f of its $%.2f per %s, %.0f %% is left", use.GetScope(), use.GetUsed(), use.GetLimit(), period, 100*max(left, 0)),
		})
	}
	return all
}
