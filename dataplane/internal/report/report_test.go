package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

// wire is a bus that can be cut.
type wire struct {
	mu       sync.Mutex
	down     bool
	batches  []*outcomev1.Batch
	at       []time.Time
	beats    int
	suspects int
}

func (w *wire) SendOutcomes(m *outcomev1.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return bus.ErrDown
	}
	w.batches, w.at = append(w.batches, m), append(w.at, time.Now())
	return nil
}

func (w *wire) SendHeartbeat(*tablev1.Heartbeat) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beats++
	return nil
}

func (w *wire) SendSuspect(*tablev1.Suspect) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspects++
	return errors.New("refused")
}

func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *wire) sent() []*outcomev1.Batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.batches
}

var one = outcome.Target{Provider: "p", Model: "m"}

func attempt(l *outcome.Ledger, kind fault.Kind) {
	l.Begin(one)
	l.Observe(&outcome.Attempt{Target: one, Fault: fault.Fault{Kind: kind}, Ended: time.Now()})
}

func with(t *testing.T, story func(r *Reporter, l *outcome.Ledger, w *wire)) {
	synctest.Test(t, func(t *testing.T) {
		w, l := &wire{}, outcome.NewLedger(10)
		r := New(Config{Node: "n", Boot: 7, RecordsMax: 100, BatchRecordsMax: 40}, Deps{
			Bus: w, Ledger: l, Heartbeat: func() *tablev1.Heartbeat { return &tablev1.Heartbeat{} }, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }()
		story(r, l, w)
		cancel()
		<-done
	})
}

func TestOrdinaryBatchesLeaveWithin100ms(t *testing.T) {
	with(t, func(r *Reporter, l *outcome.Ledger, w *wire) {
		attempt(l, fault.None)
		r.Record(&outcome.Record{RequestID: "req_1"})
		began := time.Now()
		time.Sleep(101 * time.Millisecond)
		got := w.sent()
		if len(got) != 1 || got[0].GetUrgent() || len(got[0].GetRecords()) != 1 || got[0].GetTargets()[0].GetFaults()[0] != 1 || got[0].GetBoot() != 7 {
			t.Errorf("%v after %v", got, time.Since(began))
		}
		time.Sleep(800 * time.Millisecond)
		if len(w.sent()) != 1 {
			t.Error("batches without anything in them")
		}
		// Batches may be lost, so all counters go again once a second.
		time.Sleep(400 * time.Millisecond)
		if got = w.sent(); len(got) != 2 || got[1].GetTargets()[0].GetFaults()[0] != 1 {
			t.Errorf("a second after the first whole batch there are %v", got)
		}
	})
}

func TestUrgentBatchesLeaveAtOnceAndTogether(t *testing.T) {
	with(t, func(r *Reporter, l *outcome.Ledger, w *wire) {
		time.Sleep(time.Millisecond)
		began := time.Now()
		for range 5 {
			attempt(l, fault.ServerError)
			r.Urgent()
			time.Sleep(time.Millisecond / 2)
		}
		time.Sleep(10 * time.Millisecond)
		got := w.sent()
		if len(got) != 2 || w.at[0].Sub(began) > 0 || w.at[1].Sub(began) > urgentEvery || !got[1].GetUrgent() {
			t.Fatalf("%d batches at %v after %v", len(got), w.at, began)
		}
		if first, rest := got[0].GetTargets()[0].GetFaults(), got[1].GetTargets()[0].GetFaults(); first[fault.ServerError] != 1 || rest[fault.ServerError] != 5 {
			t.Errorf("%v, then %v", first, rest)
		}
	})
}

// What opens a circuit is told without waiting for what else may fail.
func TestACircuitIsToldAtOnce(t *testing.T) {
	with(t, func(r *Reporter, l *outcome.Ledger, w *wire) {
		attempt(l, fault.ServerError)
		r.Urgent()
		synctest.Wait()
		began := time.Now()
		attempt(l, fault.ServerError)
		r.Urgent()
		synctest.Wait() // it gathers now
		r.Tripped()
		synctest.Wait()
		if got := w.sent(); len(got) != 2 || time.Since(began) > 0 || got[1].GetTargets()[0].GetFaults()[fault.ServerError] != 2 {
			t.Errorf("%v", got)
		}
	})
}

// What is lost while the bus is down is said again: counters are cumulative. Records are dropped and counted.
func TestBusAway(t *testing.T) {
	with(t, func(r *Reporter, l *outcome.Ledger, w *wire) {
		w.cut(true)
		attempt(l, fault.None)
		r.Record(&outcome.Record{RequestID: "lost"})
		time.Sleep(time.Second)
		w.cut(false)
		time.Sleep(200 * time.Millisecond)
		got := w.sent()
		if len(got) != 1 || got[0].GetTargets()[0].GetStarted() != 1 || got[0].GetRecordsDropped() != 1 {
			t.Errorf("%v", got)
		}
	})
}

// A lost batch is made good within a second even if nothing new happens.
func TestEverythingNowAndThen(t *testing.T) {
	with(t, func(_ *Reporter, l *outcome.Ledger, w *wire) {
		attempt(l, fault.None)
		time.Sleep(12 * time.Second)
		if n := len(w.sent()); n < 11 || n > 13 {
			t.Errorf("%d batches in twelve seconds", n)
		}
	})
}

func TestTheRingDropsTheOldest(t *testing.T) {
	with(t, func(r *Reporter, _ *outcome.Ledger, w *wire) {
		for i := range 130 {
			r.Record(&outcome.Record{RequestID: fmt.Sprint(i)})
		}
		if n := r.Stats().RecordsDropped; n != 30 {
			t.Errorf("%d dropped", n)
		}
		time.Sleep(time.Second)
		next := 30
		for _, b := range w.sent() {
			if len(b.GetRecords()) > 40 {
				t.Errorf("%d records in one batch", len(b.GetRecords()))
			}
			for _, rec := range b.GetRecords() {
				if rec.GetRequestId() != fmt.Sprint(next) || rec.GetNode() != "n" {
					t.Fatalf("record %s, want %d", rec.GetRequestId(), next)
				}
				next++
			}
		}
		if next != 130 {
			t.Errorf("the last record is %d", next-1)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	with(t, func(r *Reporter, _ *outcome.Ledger, w *wire) {
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if w.beats != 4 {
			t.Errorf("%d in 3.5 s", w.beats)
		}
		r.Beat()
		synctest.Wait()
		if w.beats != 5 {
			t.Error("no heartbeat after a change")
		}
		for range suspectsMax + 10 {
			r.Suspect(&tablev1.Suspect{})
		}
		synctest.Wait()
		if w.suspects == 0 || uint64(w.suspects)+r.Stats().SuspectsLost != suspectsMax+10 {
			t.Errorf("%d sent, %d lost", w.suspects, r.Stats().SuspectsLost)
		}
	})
}
