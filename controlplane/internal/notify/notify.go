// Package notify tells webhooks what happens: signed, in order for each of them, tried again for a while, and never in the way of who tells it.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
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
	// Type is transition, alert or test.
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Cluster string    `json:"cluster"`
	// Text says it for people.
	Text       string      `json:"text"`
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
	// Name is capacity_short, drift or budget_nearly_spent; Subject is what it is about, empty for everything.
	Name    string `json:"name"`
	Subject string `json:"subject,omitempty"`
	// State is firing or resolved.
	State string  `json:"state"`
	Value float64 `json:"value"`
}

// The bounds of telling.
const (
	queueMax   = 256
	triesMax   = 8
	firstPause = time.Second
	pauseMax   = time.Minute
	answerMax  = 4 << 10
	errorMax   = 200
	sendLimit  = 5 * time.Second
)

// Deps is what a Notifier works with.
type Deps struct {
	Version string
	Log     *slog.Logger
	// FirstPause is the wait before the second try of a delivery; it doubles with each. 0 means 1 s.
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
		deps.FirstPause = firstPause
	}
	return &Notifier{deps: deps, workers: map[string]*worker{}}
}

// worker serves one webhook.
type worker struct {
	deps  *Deps
	queue chan Event
	stop  context.CancelFunc

	mu     sync.Mutex
	hook   catalog.Hook  // guarded by mu
	client *guard.Client // guarded by mu
	state  State         // guarded by mu
}

// State is how it goes for one webhook.
type State struct {
	Name               string
	Delivered, Dropped uint64
	Queued             int
	// LastError of the latest try; empty when it went well. Problem says why nothing can be sent.
	LastError, Problem string
}

// Run lets the webhooks be served until ctx ends; what is queued then is lost, and the next leader tells it.
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

// Set replaces the webhooks. Those that stay keep their queues.
func (n *Notifier) Set(hooks []catalog.Hook) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := n.workers
	n.workers = map[string]*worker{}
	for _, hook := range hooks {
		w := gone[hook.Name]
		delete(gone, hook.Name)
		if w == nil {
			w = &worker{deps: &n.deps, queue: make(chan Event, queueMax), state: State{Name: hook.Name}}
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
	w.state.Problem = hook.Problem
}

// Tell queues an event for every webhook that wants it. It never waits: where the queue is full the event is dropped and counted.
func (n *Notifier) Tell(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		w.mu.Lock()
		wanted := w.hook.Wants(e.Type)
		w.mu.Unlock()
		if !wanted {
			continue
		}
		select {
		case w.queue <- e:
		default:
			w.dropped("its queue is full")
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
		s := w.state
		w.mu.Unlock()
		s.Queued = len(w.queue)
		all[name] = s
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

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.queue:
			w.deliver(ctx, e)
		}
	}
}

// deliver tries until it succeeds, is refused, or has failed too often.
func (w *worker) deliver(ctx context.Context, e Event) {
	pause := w.deps.FirstPause
	for try := 1; ; try++ {
		status, err := w.send(ctx, e)
		switch {
		case err == nil:
			w.mu.Lock()
			w.state.Delivered++
			w.mu.Unlock()
			return
		case ctx.Err() != nil:
			return
		case try == triesMax || status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
			w.dropped(err.Error())
			return
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, pauseMax)
	}
}

func (w *worker) dropped(why string) {
	w.mu.Lock()
	w.state.Dropped++
	name := w.state.Name
	w.mu.Unlock()
	w.deps.Log.Warn("a webhook was not told of an event", "webhook", name, "error", why)
}

// send tries once.
func (w *worker) send(ctx context.Context, e Event) (status int, err error) {
	w.mu.Lock()
	hook, client := w.hook, w.client
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.state.LastError = ""
		if err != nil {
			text := err.Error()
			w.state.LastError = strings.ToValidUTF8(text[:min(len(text), errorMax)], "")
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
		return 0, err
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
