package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/notify"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

const (
	// heraldPause is the least time between two looks at the board.
	heraldPause = 200 * time.Millisecond
	// heraldBack is how long before a replica began to lead it still tells what happened: who led before may not have lived to do it. The
	// events' ids are the same, so that nobody need hear twice.
	heraldBack = 3 * time.Second
	// capacityLeast, budgetLeast and the holds are what alerts go by: how little, and for how long.
	capacityLeast = 0.5
	budgetLeast   = 0.1
	capacityHold  = 30 * time.Second
	driftHold     = 30 * time.Second
)

// herald turns what the board shows into events for webhooks, while its replica leads. It owns its state; run is its one goroutine.
type herald struct {
	cluster  string
	board    *board
	notifier *notify.Notifier

	leading bool
	told    map[string]time.Time // :: id of a transition → when it was
	alarms  map[alarmKey]*alarm
}

// alarmKey names an alert.
type alarmKey struct{ name, subject string }

// alarm is an alert that may fire or does.
type alarm struct {
	since  time.Time
	firing bool
	value  float64
}

// run looks at the board until ctx ends.
func (h *herald) run(ctx context.Context) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.notifier.Run(ctx)
	}()
	defer func() { <-stopped }()
	pause := time.NewTicker(heraldPause)
	defer pause.Stop()
	for {
		view, _ := h.board.View()
		for _, event := range h.look(time.Now(), view) {
			h.notifier.Tell(event)
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// look is what there is to tell of a view.
func (h *herald) look(now time.Time, view *admin.View) []notify.Event {
	if !view.Leading || !view.Ready() {
		h.leading = false
		return nil
	}
	if !h.leading {
		h.leading, h.told, h.alarms = true, map[string]time.Time{}, map[alarmKey]*alarm{}
		for _, t := range lately(now, view) {
			if at := time.UnixMilli(t.GetAtUnixMs()); now.Sub(at) > heraldBack {
				h.told[transitionID(h.cluster, t)] = at
			}
		}
	}
	return append(h.transitions(now, view), h.alerts(now, view)...)
}

// heraldAge is how old a transition may be to be news; looks are 200 ms apart.
const heraldAge = 10 * time.Second

// lately are the transitions that may be news; health itself has only the last few.
func lately(now time.Time, view *admin.View) []*tablev1.Transition {
	first := len(view.Transitions)
	for first > 0 && now.Sub(time.UnixMilli(view.Transitions[first-1].GetAtUnixMs())) < heraldAge {
		first--
	}
	return view.Transitions[first:]
}

// transitions are those that have not been told.
func (h *herald) transitions(now time.Time, view *admin.View) (events []notify.Event) {
	recent := lately(now, view)
	shown := make(map[string]time.Time, len(recent))
	for _, t := range recent {
		id, at := transitionID(h.cluster, t), time.UnixMilli(t.GetAtUnixMs())
		shown[id] = at
		if _, known := h.told[id]; known {
			continue
		}
		subject := t.GetProvider()
		if t.GetModel() != "" {
			subject += "/" + t.GetModel()
		}
		events = append(events, notify.Event{
			ID: id, Type: catalog.TransitionEvent, At: at.UTC(), Cluster: h.cluster,
			Text: fmt.Sprintf("%s: %s → %s: %s", subject, stateName(t.GetFrom()), stateName(t.GetTo()), t.GetReason()),
			Transition: &notify.Transition{
				Provider: t.GetProvider(), Model: t.GetModel(), Credential: t.GetCredential(), From: stateName(t.GetFrom()), To: stateName(t.GetTo()),
				Reason: t.GetReason(), TraceID: t.GetTraceId(),
			},
		})
	}
	h.told = shown // what is older cannot come again
	return events
}

func transitionID(cluster string, t *tablev1.Transition) string {
	return eventID(cluster, fmt.Sprint(t.GetAtUnixMs()), t.GetProvider(), t.GetModel(), t.GetCredential(), t.GetTo().String())
}

// eventID is the same for the same event at every replica.
func eventID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "evt_" + hex.EncodeToString(sum[:12])
}

// alerts are those that begin or end with this view.
func (h *herald) alerts(now time.Time, view *admin.View) (events []notify.Event) {
	seen := map[alarmKey]bool{}
	check := func(name, subject string, bad bool, hold time.Duration, value float64, text string) {
		key := alarmKey{name, subject}
		seen[key] = true
		a := h.alarms[key]
		switch {
		case bad && a == nil:
			h.alarms[key] = &alarm{since: now, value: value}
		case bad && !a.firing && now.Sub(a.since) >= hold:
			a.firing = true
			events = append(events, h.alert(now, key, a, "firing", value, text))
		case !bad && a != nil:
			if a.firing {
				events = append(events, h.alert(now, key, a, "resolved", value, text))
			}
			delete(h.alarms, key)
		}
	}
	if share, known := capacity(view); known {
		check("capacity_short", "", share < capacityLeast, capacityHold, share, fmt.Sprintf("health leaves %.0f %% of the providers' capacity in use", 100*share))
	}
	behind := 0
	for _, node := range view.Nodes {
		if node.GetLive() && (node.GetDrift() > 0 || node.GetHeartbeat().GetNack() != nil) {
			behind++
		}
	}
	check("drift", "", behind > 0, driftHold, float64(behind), fmt.Sprintf("%d nodes are behind the catalog", behind))
	for _, use := range admin.Uses(view) {
		if strings.HasPrefix(use.GetWhat(), "dollars_") && use.GetLimit() > 0 {
			left := 1 - use.GetUsed()/use.GetLimit()
			subject := use.GetScope() + " " + use.GetWhat()
			check("budget_nearly_spent", subject, left < budgetLeast, 0, left, fmt.Sprintf("%.0f %% of %s is left", 100*max(left, 0), subject))
		}
	}
	for key, a := range h.alarms {
		if !seen[key] { // its subject is gone
			if a.firing {
				events = append(events, h.alert(now, key, a, "resolved", a.value, key.subject+" is there no more"))
			}
			delete(h.alarms, key)
		}
	}
	return events
}

func (h *herald) alert(now time.Time, key alarmKey, a *alarm, state string, value float64, text string) notify.Event {
	return notify.Event{
		ID:   eventID(h.cluster, key.name, key.subject, state, fmt.Sprint(a.since.Unix())),
		Type: catalog.AlertEvent, At: now.UTC(), Cluster: h.cluster, Text: key.name + ": " + text,
		Alert: &notify.Alert{Name: key.name, Subject: key.subject, State: state, Value: value},
	}
}

// States implements admin.Webhooks.
func (h *herald) States() map[string]notify.State { return h.notifier.States() }

// Test implements admin.Webhooks.
func (h *herald) Test(ctx context.Context, name string) (status int, err error) {
	now := time.Now()
	return h.notifier.Test(ctx, name, notify.Event{
		ID: eventID(h.cluster, "test", name, fmt.Sprint(now.UnixNano())), Type: "test", At: now.UTC(), Cluster: h.cluster, Text: "a test, by hand",
	})
}
