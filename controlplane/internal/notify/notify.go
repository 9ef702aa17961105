// Package notify tells webhooks what happens: signed, tried again for an hour, and never in the way of who tells it or of what happens next.
package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/shared/guard"
)

// Event is what a webhook is told, as its body in JSON.
type Event struct {
	// ID is the same for the same event whoever tells it and however often: who has seen it may forget it.
	ID string `json:"id"`
	// Seq grows from event to event of a region, whoever leads: what comes late and is older than what is known of its subject is history. It is about the
	// moment in milliseconds.
	Seq uint64 `json:"seq"`
	// Type is transition, alert or test.
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Cluster string    `json:"cluster"`
	Region  string    `json:"region"`
	// Text says it for people, Link is where they see more.
	Text       string      `json:"text"`
	Link       string      `json:"link"`
	Transition *Transition `json:"transition,omitempty"`
	Alert      *Alert      `json:"alert,omitempty"`
}

// Transition is a change of the cluster's view of a target.
type Transition struct {
	Provider   string `json:"provider"`
	Model      string `json:"model,omitempty"`
	Credential string `json:"credential,omitempty"`
	From       string `json:"from"`
	To         string `json:"to"`
	Reason     string `json:"reason"`
	TraceID    string `json:"trace_id,omitempty"`
}

// Alert is something that somebody should look at, and later the end of it.
type Alert struct {
	// Name is as in the documentation; Subject is what it is about, empty for everything.
	Name    string `json:"name"`
	Subject string `json:"subject,omitempty"`
	// State is firing or resolved, Since when it began.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	Value float64   `json:"value"`
}

// The bounds of one try.
const (
	answerMax = 4 << 10
	errorMax  = 200
	sendLimit = 5 * time.Second
)

// Deps is what a Notifier works with.
type Deps struct {
	Version string
	Log     *slog.Logger
	// FirstPause is the wait after a failure; it doubles with each in a row. 0 means 1 s.
	FirstPause time.Duration
}

// Notifier owns a queue and a goroutine for each webhook. Safe for concurrent use.
type Notifier struct {
	deps Deps

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // Run's; nil before and after it
	workers map[string]*worker
	running sync.WaitGroup
}

// New makes a Notifier that knows of no webhook.
func New(deps Deps) *Notifier {
	if deps.FirstPause <= 0 {
		deps.FirstPause = pauseFirst
	}
	return &Notifier{deps: deps, workers: map[string]*worker{}}
}

// worker serves one webhook.
type worker struct {
	deps *Deps
	wake chan struct{}
	stop context.CancelFunc

	mu     sync.Mutex
	hook   catalog.Hook  // guarded by mu
	client *guard.Client // guarded by mu
	queue  queue         // guarded by mu
	// lastError of the latest try.
	lastError string // guarded by mu
}

// State is how it goes for one webhook.
type State struct {
	// Fates counts the events that found each.
	Fates  [fates]uint64
	Queued int
	// LastError of the latest try; empty when it went well. Problem says why nothing can be sent.
	LastError, Problem string
}

// Dropped is how many events were not told.
func (s State) Dropped() (n uint64) {
	for fate, count := range s.Fates {
		if Fate(fate) != Delivered {
			n += count
		}
	}
	return n
}

// Debt is an event that webhooks are still to be told of.
type Debt struct {
	Event    Event    `json:"event"`
	Webhooks []string `json:"webhooks"`
}

// Run lets the webhooks be served until ctx ends. What they are owed then stays.
func (n *Notifier) Run(ctx context.Context) {
	n.mu.Lock()
	n.ctx = ctx
	for _, w := range n.workers {
		n.start(w)
	}
	n.mu.Unlock()
	<-ctx.Done()
	n.mu.Lock()
	n.ctx = nil
	n.mu.Unlock()
	n.running.Wait()
}

// start needs mu.
func (n *Notifier) start(w *worker) {
	if n.ctx == nil {
		return
	}
	ctx, stop := context.WithCancel(n.ctx)
	w.stop = stop
	n.running.Go(func() {
		defer stop()
		w.run(ctx)
	})
}

// Set replaces the webhooks. Those that stay keep what they are owed.
func (n *Notifier) Set(hooks []catalog.Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := n.workers
	n.workers = map[string]*worker{}
	for _, hook := range hooks {
		w := gone[hook.Name]
		delete(gone, hook.Name)
		if w == nil {
			w = &worker{deps: &n.deps, wake: make(chan struct{}, 1), queue: queue{pause: n.deps.FirstPause}}
			n.start(w)
		}
		w.set(hook)
		n.workers[hook.Name] = w
	}
	for _, w := range gone {
		if w.stop != nil {
			w.stop()
		}
	}
}

func (w *worker) set(hook catalog.Hook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
	w.client = guard.New(guard.Config{AllowPrivate: hook.AllowPrivate, Timeout: sendLimit})
	w.queue.failures = 0 // another address or secret may do
	w.look()
}

// look wakes the worker.
func (w *worker) look() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look
	}
}

// Tell owes an event to every webhook that wants it. It never waits.
func (n *Notifier) Tell(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		w.owe(e)
	}
}

// owe takes an event, if the webhook wants it.
func (w *worker) owe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.hook.Wants(e.Type) {
		return
	}
	w.queue.add(e)
	w.look()
}

// Owed is what has not been told, oldest first, for whoever goes on with it.
func (n *Notifier) Owed() []Debt {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Debt
	at := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(n.workers)) {
		w := n.workers[name]
		w.mu.Lock()
		for _, d := range w.queue.owed {
			i, known := at[d.event.ID]
			if !known {
				i = len(all)
				at[d.event.ID] = i
				all = append(all, Debt{Event: d.event})
			}
			all[i].Webhooks = append(all[i].Webhooks, name)
		}
		w.mu.Unlock()
	}
	slices.SortStableFunc(all, func(a, b Debt) int { return cmp.Compare(a.Event.Seq, b.Event.Seq) })
	return all
}

// Owe replaces what has not been told: by what another Notifier owed, or by nothing.
func (n *Notifier) Owe(debts []Debt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, w := range n.workers {
		w.mu.Lock()
		w.queue.owed = nil
		w.mu.Unlock()
		for _, d := range debts {
			if slices.Contains(d.Webhooks, name) {
				w.owe(d.Event)
			}
		}
	}
}

// States are how it goes, by name.
func (n *Notifier) States() map[string]State {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]State, len(n.workers))
	for name, w := range n.workers {
		w.mu.Lock()
		all[name] = State{Fates: w.queue.fates, Queued: len(w.queue.owed), LastError: w.lastError, Problem: w.hook.Problem}
		w.mu.Unlock()
	}
	return all
}

// ErrUnknown says that there is no webhook of that name.
var ErrUnknown = errors.New("there is no such webhook")

// Test sends one event at once, and returns the status of the answer.
func (n *Notifier) Test(ctx context.Context, name string, e Event) (status int, err error) {
	n.mu.Lock()
	w := n.workers[name]
	n.mu.Unlock()
	if w == nil {
		return 0, ErrUnknown
	}
	return w.send(ctx, e)
}

// run tells what is owed, one event at a time.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		e, wait := w.queue.next(time.Now())
		w.mu.Unlock()
		if wait == 0 {
			w.try(ctx, e)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-due:
		case <-w.wake:
		}
	}
}

// try sends an event, and notes what comes of it. Who says that asking again is of no use is not asked again.
func (w *worker) try(ctx context.Context, e Event) {
	status, err := w.send(ctx, e)
	if err != nil && ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.queue.settle(time.Now(), e.ID, Delivered, false)
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		w.queue.settle(time.Now(), e.ID, Refused, false)
		w.deps.Log.Warn("a webhook refuses an event", "webhook", w.hook.Name, "event", e.ID, "error", err)
	default:
		if w.queue.failures == 0 {
			w.deps.Log.Warn("a webhook cannot be told; it is tried again for an hour", "webhook", w.hook.Name, "event", e.ID, "error", err)
		}
		w.queue.settle(time.Now(), e.ID, 0, true)
	}
}

// send tries once.
func (w *worker) send(ctx context.Context, e Event) (status int, err error) {
	w.mu.Lock()
	hook, client := w.hook, w.client
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lastError = ""
		if err != nil {
			text := err.Error()
			w.lastError = strings.ToValidUTF8(text[:min(len(text), errorMax)], "")
		}
	}()
	if hook.Problem != "" {
		return 0, errors.New(hook.Problem)
	}
	body, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("its URL cannot be used") // what is wrong would quote it
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "aimux/"+w.deps.Version)
	request.Header.Set("Aimux-Event-Id", e.ID)
	request.Header.Set("Aimux-Timestamp", stamp)
	request.Header.Set("Aimux-Signature", "v1="+Sign(hook.Secret.Reveal(), stamp, body))
	status, _, err = client.Do(request, answerMax)
	if status >= 200 && status < 300 {
		return status, nil // whatever it said besides
	}
	if err == nil {
		err = fmt.Errorf("it answers with status %d", status)
	}
	return status, err
}

// Sign is the HMAC-SHA256 of the timestamp, a full stop and the body, in hexadecimal.
func Sign(key, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
