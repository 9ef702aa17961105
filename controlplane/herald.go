package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/notify"
	"github.com/aimux/aimux/controlplane/internal/store"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

const (
	// heraldPause is the least time between two looks at the board.
	heraldPause = 200 * time.Millisecond
	// heraldBack is how long before a replica began to lead it tells what happened, where nobody has left it a slate.
	heraldBack = 3 * time.Second
	// heraldAge is how late a transition may come to be seen; looks are 200 ms apart. heraldOldest is how old news may be.
	heraldAge    = 10 * time.Second
	heraldOldest = time.Hour
)

// herald turns what the board shows into events for webhooks, while its replica leads. What it has told, and what it still owes, stands on a slate: whoever
// leads next goes on there. It owns its state; run is its one goroutine.
type herald struct {
	cluster, region, link string
	board                 *board
	notifier              *notify.Notifier
	slate                 slate

	leading bool
	// wants is since when this replica leads and waits for the slate; zero when it does not.
	wants time.Time
	seq   uint64
	// from is where looking at transitions begins; told are those since then that were told.
	from   time.Time
	told   map[string]time.Time // :: id of a transition → when it was
	alarms alarms
}

// newHerald makes the herald of a replica whose admin API is at link.
func newHerald(cfg Config, link string, b *board, notifier *notify.Notifier, on store.Slate, log *slog.Logger) *herald {
	if cfg.AdminURL != "" {
		link = cfg.AdminURL
	}
	return &herald{
		cluster: cfg.Cluster, region: cfg.Region, link: strings.TrimSuffix(link, "/"), board: b, notifier: notifier, slate: newSlate(on, cfg.ClusterKey, log),
	}
}

// run looks at the board until ctx ends.
func (h *herald) run(ctx context.Context) {
	stopped := make(chan struct{}, 2)
	go func() {
		h.notifier.Run(ctx)
		stopped <- struct{}{}
	}()
	go func() {
		h.slate.run(ctx)
		stopped <- struct{}{}
	}()
	defer func() { <-stopped; <-stopped }()
	pause := time.NewTicker(heraldPause)
	defer pause.Stop()
	for {
		view, _ := h.board.View()
		if h.leads(ctx, view) {
			now := time.Now()
			for _, event := range h.look(now, view) {
				h.notifier.Tell(event)
			}
			h.slate.write(h.page(now))
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
	}
}

// leads reports whether it is this replica that tells, and that it knows what was told before.
func (h *herald) leads(ctx context.Context, view *admin.View) bool {
	now := time.Now()
	switch {
	case !view.Leading || !view.Ready():
		if h.leading {
			h.notifier.Owe(nil) // whoever leads now has it from the slate
			h.slate.leave()
		}
		h.leading, h.wants = false, time.Time{}
		return false
	case h.leading:
		return true
	case h.wants.IsZero():
		h.wants = now
	}
	last, err := h.slate.read(ctx)
	if err != nil && now.Sub(h.wants) < slatePatience {
		return false
	}
	if err != nil {
		h.slate.log.Warn("what webhooks were told, and are owed, cannot be read; only what happened just now is told", "error", err)
	}
	h.resume(now, last)
	return true
}

// resume goes on where a page ends; nil is no page.
func (h *herald) resume(now time.Time, last *page) {
	h.leading = true
	h.told, h.alarms, h.from = map[string]time.Time{}, alarms{}, now.Add(-heraldBack)
	if !h.wants.IsZero() {
		h.from = h.wants.Add(-heraldBack) // reading took its time
	}
	if last == nil {
		return
	}
	h.seq, h.from = max(h.seq, last.Seq), last.At.Add(-heraldAge)
	if oldest := now.Add(-heraldOldest); h.from.Before(oldest) {
		h.from = oldest
	}
	maps.Copy(h.told, last.Told)
	for _, a := range last.Alarms {
		h.alarms[a.alarmKey] = &alarm{since: a.Since, firing: a.Firing, value: a.Value}
	}
	h.notifier.Owe(last.Owed)
}

// page is what whoever leads next must know.
func (h *herald) page(now time.Time) *page {
	p := &page{At: now, Seq: h.seq, Told: h.told, Owed: h.notifier.Owed()}
	for _, key := range h.alarms.keys() {
		a := h.alarms[key]
		p.Alarms = append(p.Alarms, pageAlarm{key, a.since, a.firing, a.value})
	}
	return p
}

// look is what there is to tell of a view, numbered.
func (h *herald) look(now time.Time, view *admin.View) []notify.Event {
	events := h.transitions(now, view)
	for _, n := range h.alarms.look(now, h.region, view) {
		events = append(events, h.alert(now, n))
	}
	for i := range events {
		e := &events[i]
		h.seq = max(h.seq+1, uint64(max(e.At.UnixMilli(), 0)))
		e.Seq, e.Cluster, e.Region = h.seq, h.cluster, h.region
		e.Text += fmt.Sprintf(" (cluster %s, region %s)", h.cluster, h.region)
	}
	return events
}

// transitions are those that have not been told.
func (h *herald) transitions(now time.Time, view *admin.View) (events []notify.Event) {
	first := len(view.Transitions)
	for first > 0 && !time.UnixMilli(view.Transitions[first-1].GetAtUnixMs()).Before(h.from) {
		first--
	}
	for _, t := range view.Transitions[first:] {
		id := transitionID(h.cluster, t)
		if _, known := h.told[id]; !known {
			h.told[id] = time.UnixMilli(t.GetAtUnixMs())
			events = append(events, h.transition(id, t))
		}
	}
	if late := now.Add(-heraldAge); h.from.Before(late) {
		h.from = late
	}
	for id, at := range h.told {
		if at.Before(h.from) {
			delete(h.told, id)
		}
	}
	return events
}

func (h *herald) transition(id string, t *tablev1.Transition) notify.Event {
	at, subject := time.UnixMilli(t.GetAtUnixMs()).UTC(), t.GetProvider()
	if t.GetModel() != "" {
		subject += "/" + t.GetModel()
	}
	if t.GetCredential() != "" {
		subject += ", key " + t.GetCredential()
	}
	return notify.Event{
		ID: id, Type: catalog.TransitionEvent, At: at, Link: h.at("providers/" + url.PathEscape(t.GetProvider())),
		Text: fmt.Sprintf("%s: %s since %s, was %s: %s", subject, words(t.GetTo()), clockTime(at), words(t.GetFrom()), t.GetReason()),
		Transition: &notify.Transition{
			Provider: t.GetProvider(), Model: t.GetModel(), Credential: t.GetCredential(), From: stateName(t.GetFrom()), To: stateName(t.GetTo()),
			Reason: t.GetReason(), TraceID: t.GetTraceId(),
		},
	}
}

// words are a state's name as people read it.
func words(s tablev1.State) string {
	if s == tablev1.State_STATE_UNSPECIFIED {
		return "unknown" // nobody had told before
	}
	return strings.ReplaceAll(stateName(s), "_", " ")
}

// clockTime is a moment as people read it who have just woken up.
func clockTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }

// at is the address of a page of the dashboard.
func (h *herald) at(page string) string { return h.link + "/#/" + page }

func transitionID(cluster string, t *tablev1.Transition) string {
	return eventID(cluster, fmt.Sprint(t.GetAtUnixMs()), t.GetProvider(), t.GetModel(), t.GetCredential(), t.GetTo().String())
}

// eventID is the same for the same event at every replica.
func eventID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "evt_" + hex.EncodeToString(sum[:12])
}

// alert is an alarm's beginning or end.
func (h *herald) alert(now time.Time, n alarmNews) notify.Event {
	state, since := "resolved", fmt.Sprintf("over after %s, since %s", now.Sub(n.since).Round(time.Second), clockTime(n.since))
	if n.firing {
		state, since = "firing", "since "+clockTime(n.since)
	}
	name := strings.ReplaceAll(n.key.Name, "_", " ")
	if n.key.Subject != "" {
		name += ", " + n.key.Subject
	}
	return notify.Event{
		ID:   eventID(h.cluster, h.region, n.key.Name, n.key.Subject, state, fmt.Sprint(n.since.UnixMilli())),
		Type: catalog.AlertEvent, At: now.UTC(), Link: h.at(n.page), Text: fmt.Sprintf("%s, %s: %s", name, since, n.text),
		Alert: &notify.Alert{Name: n.key.Name, Subject: n.key.Subject, State: state, Since: n.since.UTC(), Value: n.value},
	}
}

// States implements admin.Webhooks.
func (h *herald) States() map[string]notify.State { return h.notifier.States() }

// Test implements admin.Webhooks.
func (h *herald) Test(ctx context.Context, name string) (status int, err error) {
	now := time.Now()
	return h.notifier.Test(ctx, name, notify.Event{
		ID: eventID(h.cluster, "test", name, fmt.Sprint(now.UnixNano())), Seq: uint64(max(now.UnixMilli(), 0)), Type: "test", At: now.UTC(),
		Cluster: h.cluster, Region: h.region, Text: "a test, by hand", Link: h.link,
	})
}
