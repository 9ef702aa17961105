package controlplane

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/fleet"
	"github.com/aimux/aimux/controlplane/internal/lead"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/clock"
	"github.com/aimux/aimux/shared/telemetry"
)

const (
	tickInterval = 25 * time.Millisecond
	stepInterval = 100 * time.Millisecond
	// stepPauseMax bounds how long news waits for other news.
	stepPauseMax = 2 * time.Millisecond
	// shiftAtLeast lies between weights that are told: every failure shifts some, and every node has to work on every table.
	shiftAtLeast = 20 * time.Millisecond
	saveInterval = 10 * time.Second
	// saveAtLeast lies between two savings however often circuits change.
	saveAtLeast = 50 * time.Millisecond
	// coldWait is how long a replica that knows nothing leaves the lead to those that do, who take less than 300 ms.
	coldWait = 500 * time.Millisecond
	// listenFor is how long it takes until every node has spoken that lives: longer than between two heartbeats.
	listenFor     = 1500 * time.Millisecond
	inboxSize     = 1024
	questionsSize = 16
)

// inbox is what comes to the loop. Senders wait when it is full: the bus then drops and counts.
type inbox struct {
	batches   chan *outcomev1.Batch
	beats     chan *tablev1.Heartbeat
	leads     chan *tablev1.Header
	healths   chan *tablev1.Health
	digests   chan *tablev1.RegionDigest
	catalogs  chan *asked
	questions chan func(now time.Time)
}

func newInbox() inbox {
	return inbox{
		batches: make(chan *outcomev1.Batch, inboxSize), beats: make(chan *tablev1.Heartbeat, inboxSize), leads: make(chan *tablev1.Header, inboxSize),
		healths: make(chan *tablev1.Health, inboxSize), digests: make(chan *tablev1.RegionDigest, inboxSize), catalogs: make(chan *asked, 1), questions: make(chan func(time.Time), questionsSize),
	}
}

// asked is the catalog at one revision, compiled.
type asked struct {
	revision uint64
	document *adminv1.Document
	config   *tablev1.Config
}

// speaker is the part of the bus that the loop publishes on.
type speaker interface {
	PublishConfig(m *tablev1.Config, traceparent string) error
	PublishHealth(m *tablev1.Health, traceparent string) error
	PublishLead(m *tablev1.Header) error
	PublishDigest(m *tablev1.RegionDigest) error
	Connected() bool
}

// loop is the one goroutine that owns the fleet's state: everything comes to it as a message, and nothing in it is shared.
// Every replica hears and steps; only the leader's fleet judges, and only the leader speaks.
type loop struct {
	cluster  string
	region   string
	bus      speaker
	log      *slog.Logger
	inbox    inbox
	board    *board
	troubles *troubles
	// snapshots takes the fleet's memory to the disk; a full channel means that the disk is slow, and the next one will do.
	snapshots chan<- []byte
	steps     *telemetry.Histogram
	spreads   *telemetry.Histogram
	changes   *telemetry.Counters
	tracer    *telemetry.Tracer
	// published counts the messages that went out, by kind; read by metrics.
	healthsOut, configsOut, digestsOut atomic.Uint64

	clock  clock.Steady // the fleet's time
	fleet  *fleet.Fleet
	lead   *lead.Lead
	roster *roster
	usage  *usage
	tail   *tail

	asked    asked
	decision fleet.Decision
	seq      uint64
	led      bool
	// told is when the other regions were told last, and digests how often; hello says that they are to be told whether any are known or not.
	told    time.Time
	digests uint64
	hello   bool
	// stepped, spoken, shown and saved are when these last happened. urgent says that the next step must not wait for the tick,
	// stale that the next show must not.
	stepped, spoken, shown, saved time.Time
	urgent, stale                 bool
	// shifted says that there are weights to tell, unsaid that the last health did not reach the bus, unsaved that the last change of a circuit, at changedMs, is not on disk.
	shifted, unsaid, unsaved bool
	changedMs                int64
	// stepPause and showPause keep urgent steps, which cost more with more targets, and showing, which costs more with more nodes, to a fifth of
	// the loop's time each.
	stepPause, showPause time.Duration
	// deaf is when this replica last could not hear anybody, or when it began.
	deaf time.Time
	// warmAt is when this replica may claim the lead: at once after it has followed a leader, whose circuits it then has.
	warmAt time.Time
}

// run serves the inbox until ctx ends.
func (l *loop) run(ctx context.Context) {
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	soon := time.NewTimer(0)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-l.inbox.batches:
			l.usage.observe(b)
			l.tail.observe(b)
			l.urgent = l.fleet.Observe(l.clock.At(time.Now()), b) && l.led || l.urgent // who follows hears the leader's verdict
		case beat := <-l.inbox.beats:
			l.heard(time.Now(), beat)
		case h := <-l.inbox.leads:
			l.hear(time.Now(), h)
		case h := <-l.inbox.healths:
			l.follow(time.Now(), h)
		case d := <-l.inbox.digests:
			l.urgent = l.fleet.HeardRegion(l.clock.At(time.Now()), d) || l.urgent
		case a := <-l.inbox.catalogs:
			l.adopt(time.Now(), a)
		case ask := <-l.inbox.questions:
			ask(time.Now())
		case <-soon.C:
		case <-tick.C:
			l.tick(time.Now())
		}
		if l.urgent || l.stale {
			l.hurry(time.Now(), soon)
		}
	}
}

// hurry steps if that is urgent, and shows if what is shown is stale: at once if the last time is long enough ago, else as soon as
// it is.
func (l *loop) hurry(now time.Time, soon *time.Timer) {
	wait := max(stepPauseMax, l.showPause) - now.Sub(l.shown)
	if l.urgent {
		wait = l.stepPause - now.Sub(l.stepped)
	}
	switch {
	case wait > 0:
		soon.Reset(wait)
	case l.urgent:
		l.step(now)
	default:
		l.show(now)
	}
}

// tick lets time pass for leadership, and steps when a step is due.
func (l *loop) tick(now time.Time) {
	beat := l.lead.Tick(now, l.asked.revision > 0 && !now.Before(l.warmAt))
	l.changeLead(now)
	if beat {
		l.publish("lead", l.bus.PublishLead(l.header(now)))
	}
	if !l.due(now, l.stepped) && !l.mustSpeak(now) {
		return
	}
	l.step(now)
	l.remember(now, nil)
	if now.Sub(l.saved) >= saveInterval {
		l.roster.forget(now)
		l.save(now)
	}
}

// save hands the fleet's memory over to the disk. Where the disk is still busy with the last one, the next tick tries again.
func (l *loop) save(now time.Time) {
	select {
	case l.snapshots <- l.fleet.Snapshot(l.clock.At(now)):
		l.saved, l.unsaved = now, false
	default:
		l.unsaved = true
	}
}

// remember saves soon after a circuit has changed, so that not even the death of every replica forgets it. It reports that there is such news.
func (l *loop) remember(now time.Time, changes []*tablev1.Transition) (news bool) {
	news = len(changes) > 0 && changes[len(changes)-1].GetAtUnixMs() != l.changedMs
	if news {
		l.changedMs = changes[len(changes)-1].GetAtUnixMs()
		l.unsaved = true
	}
	if l.unsaved && now.Sub(l.saved) >= saveAtLeast {
		l.save(now)
	}
	return news
}

// due says whether the time of a step has come, counted from the last; ticks come a little early or late.
func (l *loop) due(now, last time.Time) bool { return now.Sub(last) >= stepInterval-tickInterval/2 }

// mustSpeak says whether nodes are to hear of health even if no state has changed: it is their sign of life, weights may have shifted, and what
// the bus lost when it was down is said again as soon as it is up.
func (l *loop) mustSpeak(now time.Time) bool {
	return l.led && (l.due(now, l.spoken) || l.shifted && now.Sub(l.spoken) >= shiftAtLeast || l.unsaid && l.bus.Connected())
}

// changeLead acts on a change of who leads. A new leader repeats the Config, which the one before may not have lived to publish.
func (l *loop) changeLead(now time.Time) {
	if l.led == l.lead.Leading() {
		return
	}
	l.led = l.lead.Leading()
	l.log.Info("leadership", "leading", l.led, "epoch", l.lead.Epoch(), "leader", l.lead.Leader())
	if l.led {
		l.seq, l.digests, l.hello = 0, 0, true
		l.speakConfig(now)
		l.urgent = true
	}
}

// step judges, speaks if it leads and there is something to say, and shows the result.
func (l *loop) step(now time.Time) {
	l.urgent, l.stepped = false, now
	l.fleet.WallAhead(l.clock.Ahead(now))
	l.decision = l.fleet.Step(l.clock.At(now), l.led)
	for _, t := range l.decision.Transitions {
		l.log.Info("health", "provider", t.GetProvider(), "model", t.GetModel(), "from", stateName(t.GetFrom()), "to", stateName(t.GetTo()), "reason", t.GetReason(), "request_id", t.GetRequestId(), "trace_id", t.GetTraceId())
		l.changes.With(t.GetProvider(), t.GetModel(), stateName(t.GetTo())).Add(1)
	}
	l.remember(now, l.decision.Transitions)
	l.shifted = l.shifted || l.decision.Shifted
	if l.led && l.decision.Changed || l.mustSpeak(now) {
		l.spoken, l.shifted = now, false
		l.seq++
		span := l.stepSpan(now)
		l.unsaid = !l.push(span, "health", func(traceparent string) error { return l.bus.PublishHealth(l.health(now), traceparent) })
		span.End(time.Now())
		if !l.unsaid {
			l.healthsOut.Add(1)
		}
	}
	l.tellRegions(now)
	l.stale = true
	if now.Sub(l.shown) >= l.showPause {
		l.show(now)
	}
	took := time.Since(now)
	l.stepPause = min(4*took, stepPauseMax)
	l.steps.Observe(took)
}

// tellInterval is how often a leader tells the other regions how this one is, and tellAtLeast lies between two tellings whatever happens.
const (
	tellInterval = time.Second
	tellAtLeast  = 20 * time.Millisecond
)

// tellRegions tells the other regions, if there are any: what changes at once, the rest once a second. Where there is one region, all that is ever said is a
// new leader's first word, which is how the others would learn of it.
func (l *loop) tellRegions(now time.Time) {
	since := now.Sub(l.told)
	due := l.fleet.Abroad() && (since >= tellInterval-tickInterval/2 || l.decision.Tell && since >= tellAtLeast)
	if !l.led || !due && !l.hello {
		return
	}
	l.hello, l.told = false, now
	l.digests++
	d := l.fleet.Digest(l.clock.At(now))
	d.Header = l.header(now)
	d.Header.HealthSeq = l.digests
	if l.publish("digest", l.bus.PublishDigest(d)) {
		l.digestsOut.Add(1)
	}
}

// adopt takes a newer catalog into force.
func (l *loop) adopt(now time.Time, a *asked) {
	if a.revision <= l.asked.revision {
		return
	}
	l.translate(now, a)
	l.asked = *a
	l.fleet.Asked(l.clock.At(now), a.config)
	l.roster.published(now, a.revision)
	l.log.Info("catalog in force", "revision", a.revision, "providers", len(a.config.GetProviders()), "writer", a.document.GetWriter())
	if l.led {
		l.speakConfig(now)
	}
	l.step(now)
}

// translate moves the ends of overrides to the fleet's time. What was written just now tells how far the writer's clock is off; of what was written before this
// replica began, only the moment is known. What has not changed since keeps its end.
func (l *loop) translate(now time.Time, a *asked) {
	by := -l.clock.Ahead(now)
	if l.asked.revision > 0 {
		by = new(clock.Skew).Hear(l.clock.Ms(now), 0, a.document.GetSavedUnixMs())
	}
	before := map[string]*tablev1.Override{} // :: provider → its override, moved
	for _, p := range l.asked.config.GetProviders() {
		before[p.GetId()] = p.GetOverride()
	}
	a.config = clock.Config(a.config, by)
	for _, p := range a.config.GetProviders() {
		id := p.GetId()
		if was := before[id]; was != nil && proto.Equal(a.document.GetOverrides()[id], l.asked.document.GetOverrides()[id]) {
			p.Override = was
		}
	}
}

// heard takes a node's heartbeat; those who wait for nodes see at once what it changes.
func (l *loop) heard(now time.Time, beat *tablev1.Heartbeat) {
	if beat.GetRegion() == l.region { // every region has a leader and epochs of its own
		l.lead.Outbid(now, beat.GetApplied().GetEpoch())
		l.changeLead(now)
	}
	l.fleet.Heard(l.clock.At(now), beat)
	l.stale = l.roster.heard(now, beat, l.spreads) || l.stale
}

// hear takes another replica's claim to the lead.
func (l *loop) hear(now time.Time, h *tablev1.Header) bool {
	follow := l.lead.Hear(now, h.GetEpoch(), h.GetLeader())
	l.changeLead(now)
	return follow
}

// follow takes the circuits over from the leader.
func (l *loop) follow(now time.Time, h *tablev1.Health) {
	if l.hear(now, h.GetHeader()) {
		l.fleet.Follow(l.clock.At(now), h)
		l.urgent = l.remember(now, h.GetTransitions()) || l.urgent
		l.seq = h.GetHeader().GetHealthSeq()
		l.warmAt = now
	}
}

// speakConfig tells every node what to route by.
func (l *loop) speakConfig(now time.Time) {
	if l.asked.revision == 0 {
		return
	}
	span := l.tracer.Internal("catalog", now)
	l.spanSpeaker(span)
	span.Number("aimux.providers", int64(len(l.asked.config.GetProviders())))
	span.Text("aimux.writer", l.asked.document.GetWriter())
	if l.push(span, "config", func(traceparent string) error { return l.bus.PublishConfig(l.config(now), traceparent) }) {
		l.configsOut.Add(1)
	}
	span.End(time.Now())
}

// publish notes what could not be published; the bus has counted it. While the bus is down that is no news.
func (l *loop) publish(what string, err error) bool {
	trouble := ""
	if err != nil && l.bus.Connected() {
		trouble = err.Error()
		l.log.Warn("not published", "what", what, "error", err)
	}
	l.troubles.set("publishing "+what, trouble)
	return err == nil
}

func (l *loop) header(now time.Time) *tablev1.Header {
	return &tablev1.Header{
		Cluster: l.cluster, Epoch: l.lead.Epoch(), Leader: l.lead.Leader(), ConfigRevision: l.asked.revision, IssuedUnixMs: l.clock.Ms(now),
	}
}

func (l *loop) health(now time.Time) *tablev1.Health {
	h := shallow(l.decision.Health)
	h.Header = l.header(now)
	h.Header.HealthSeq = l.seq
	return h
}

func (l *loop) config(now time.Time) *tablev1.Config {
	c := shallow(l.asked.config)
	c.Header = l.header(now)
	return c
}

// shallow copies a message but shares what it refers to, which nobody changes.
func shallow[M proto.Message](m M) M {
	copied := m.ProtoReflect().New()
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		copied.Set(field, value)
		return true
	})
	result, _ := copied.Interface().(M)
	return result
}

// show puts the newest view on the board.
func (l *loop) show(now time.Time) {
	l.shown, l.stale = now, false
	if l.asked.revision == 0 || l.decision.Health == nil {
		return
	}
	lines := l.troubles.list()
	if !l.bus.Connected() {
		lines = append(lines, "bus: not connected; nodes serve from their last table")
	}
	if !l.bus.Connected() {
		l.deaf = now
	}
	ahead := l.clock.Ahead(now)
	l.board.show(&admin.View{
		Revision: l.asked.revision, Document: l.asked.document, Config: l.config(now), Health: clock.Health(l.health(now), ahead), Transitions: l.fleet.Transitions(),
		Nodes: l.roster.list(now, l.decision.Health), Listening: now.Sub(l.deaf) < listenFor, Convergence: l.roster.convergence(now), Usage: l.usage.list(),
		Leading: l.led, Leader: l.lead.Leader(), Trouble: lines,
	})
	l.showPause = 4 * time.Since(now)
}

// ask runs a question in the loop and waits for its answer.
func (l *loop) ask(ctx context.Context, question func(now time.Time) string) (string, error) {
	answer := make(chan string, 1)
	select {
	case l.inbox.questions <- func(now time.Time) { answer <- question(now) }:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	select {
	case text := <-answer:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// describe is /debug/fleet.
func (l *loop) describe(ctx context.Context) (string, error) {
	return l.ask(ctx, func(now time.Time) string {
		return fmt.Sprintf("leading %v, epoch %d, leader %q, catalog %d, health %d\n"+
			"over the limit: %d heartbeats of nodes, %d targets of usage; %d claims to the lead beyond any epoch\n\n%s",
			l.led, l.lead.Epoch(), l.lead.Leader(), l.asked.revision, l.seq,
			l.roster.dropped, l.usage.dropped, l.lead.Rejected(), l.fleet.Describe(l.clock.At(now)))
	})
}
