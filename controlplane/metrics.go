package controlplane

import (
	"strconv"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/notify"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/bus"
	"github.com/aimux/aimux/shared/telemetry"
)

// stepBounds are seconds: a step takes microseconds, and must never take a heartbeat's time.
var stepBounds = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1}

// measure registers what Prometheus scrapes.
func (r *replica) measure() {
	m := r.metrics
	r.loop.changes = m.Counters("aimux_controlplane_transitions_total", "Changes of the cluster's view that this replica decided, by the state that they came to.", "provider", "model", "to")
	r.loop.spreads = m.Histograms("aimux_controlplane_convergence_duration_seconds", "Time from a revision's publishing to each node's ACK.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30}).With()
	r.loop.steps = m.Histograms("aimux_controlplane_step_seconds", "Time of one step of the loop.", stepBounds).With()
	gauge := func(name, help string, read func() float64) {
		m.Read(telemetry.Reading{Name: name, Help: help, Read: func(give func(float64, ...string)) { give(read()) }})
	}
	gauge("aimux_controlplane_leading", "1 while this replica speaks.", func() float64 {
		if view, _ := r.board.View(); view.Leading {
			return 1
		}
		return 0
	})
	gauge("aimux_controlplane_config_revision", "Revision of the catalog in force.", func() float64 {
		view, _ := r.board.View()
		return float64(view.Revision)
	})
	gauge("aimux_controlplane_convergence_seconds", "Time from the latest revision to its latest ACK so far.", func() float64 {
		view, _ := r.board.View()
		if len(view.Convergence) == 0 {
			return 0
		}
		return float64(view.Convergence[len(view.Convergence)-1].GetLastAckUs()) / 1e6
	})
	m.Read(telemetry.Reading{
		Name: "aimux_controlplane_nodes", Help: "Nodes heard of.", Labels: []string{"live", "current"},
		Read: func(give func(float64, ...string)) {
			view, _ := r.board.View()
			counts := map[[2]bool]int{}
			for _, node := range view.Nodes {
				counts[[2]bool{node.GetLive(), node.GetDrift() == 0}]++
			}
			for key, n := range counts {
				give(float64(n), strconv.FormatBool(key[0]), strconv.FormatBool(key[1]))
			}
		},
	})
	r.measureHealth()
	r.measureLoss()
	r.measureWebhooks()
	m.Read(telemetry.Reading{
		Name: "aimux_controlplane_published_total", Help: "Messages of the leader.", Counter: true, Labels: []string{"kind"},
		Read: func(give func(float64, ...string)) {
			give(float64(r.loop.healthsOut.Load()), "health")
			give(float64(r.loop.configsOut.Load()), "config")
			give(float64(r.loop.digestsOut.Load()), "digest")
		},
	})
	m.Read(busTraffic(r.deps.Bus))
	gauge("aimux_bus_connected", "1 while the bus is connected.", func() float64 {
		if r.deps.Bus.Connected() {
			return 1
		}
		return 0
	})
}

// measureHealth registers the cluster's view of every target, and of all together.
func (r *replica) measureHealth() {
	labels := []string{"provider", "model"}
	for _, f := range []struct {
		name, help string
		value      func(t *tablev1.TargetHealth) float64
	}{
		{"aimux_controlplane_target_state", "The cluster's view, model being empty for the provider as a whole: 0 healthy, 1 degraded, 2 unhealthy, 3 open, 4 half open.", func(t *tablev1.TargetHealth) float64 { return float64(max(t.GetState(), 1) - 1) }},
		{"aimux_controlplane_target_weight", "Share of the configured weight that the target gets now.", func(t *tablev1.TargetHealth) float64 { return float64(t.GetWeightPpm()) / 1e6 }},
		{"aimux_controlplane_target_success_ratio", "Share of attempts that succeeded lately; 0 also where none was made.", func(t *tablev1.TargetHealth) float64 { return float64(t.GetSuccessPpm()) / 1e6 }},
		{"aimux_controlplane_target_first_token_seconds", "Estimate of the time to the first token over all nodes; 0 where none is known.", func(t *tablev1.TargetHealth) float64 { return float64(t.GetFirstTokenMs()) / 1e3 }},
		{"aimux_controlplane_target_in_flight", "Attempts under way over all nodes.", func(t *tablev1.TargetHealth) float64 { return float64(t.GetInFlight()) }},
	} {
		r.metrics.Read(telemetry.Reading{Name: f.name, Help: f.help, Labels: labels, Read: func(give func(float64, ...string)) {
			view, _ := r.board.View()
			for _, t := range view.Health.GetTargets() {
				if t.GetCredential() == "" {
					give(f.value(t), t.GetProvider(), t.GetModel())
				}
			}
		}})
	}
	r.metrics.Read(telemetry.Reading{
		Name: "aimux_controlplane_capacity_ratio", Help: "Share of all providers' configured capacity that health leaves in use, the fallback left out.",
		Read: func(give func(float64, ...string)) {
			view, _ := r.board.View()
			if share, known := capacity(view); known {
				give(share)
			}
		},
	})
	r.metrics.Read(telemetry.Reading{
		Name: "aimux_controlplane_nodes_refusing", Help: "Live nodes that refuse the newest revision.",
		Read: func(give func(float64, ...string)) {
			view, _ := r.board.View()
			n := 0
			for _, node := range view.Nodes {
				if node.GetLive() && node.GetHeartbeat().GetNack() != nil {
					n++
				}
			}
			give(float64(n))
		},
	})
}

// capacity is the share of what all providers could take together that health leaves in use. One without a cap counts like any other.
func capacity(view *admin.View) (share float64, known bool) {
	weights := map[string]float64{}
	for _, t := range view.Health.GetTargets() {
		if t.GetModel() == "" && t.GetCredential() == "" {
			weights[t.GetProvider()] = float64(t.GetWeightPpm()) / 1e6
		}
	}
	var all, left float64
	for _, p := range view.Config.GetProviders() {
		weight, heard := weights[p.GetId()]
		if !p.GetEnabled() || p.GetFallback() || !heard {
			continue
		}
		size := float64(max(p.GetMaxConcurrentRequests(), 1))
		all, left = all+size, left+size*weight
	}
	if all == 0 {
		return 0, false
	}
	return left / all, true
}

// measureLoss registers what of the nodes' reports did not come.
func (r *replica) measureLoss() {
	counter := func(name, help string, read func(*adminv1.ListRequestsResponse) uint64) {
		r.metrics.Read(telemetry.Reading{Name: name, Help: help, Counter: true, Read: func(give func(float64, ...string)) {
			give(float64(read(r.loop.tail.counted())))
		}})
	}
	counter("aimux_controlplane_requests_total", "Requests of all nodes that this replica has heard of.", (*adminv1.ListRequestsResponse).GetLast)
	counter("aimux_controlplane_requests_failed_total", "Requests of all nodes that should have been answered and were not.", (*adminv1.ListRequestsResponse).GetFailed)
	counter("aimux_controlplane_records_unreported_total", "Requests that nodes had no room to report.", (*adminv1.ListRequestsResponse).GetUnreported)
	r.metrics.Read(telemetry.Reading{
		Name: "aimux_controlplane_batches_missed_total", Help: "Batches of outcomes that nodes sent and this replica did not get.", Counter: true,
		Read: func(give func(float64, ...string)) { give(float64(r.loop.tail.missed())) },
	})
}

// measureWebhooks registers how it goes for each webhook.
func (r *replica) measureWebhooks() {
	r.metrics.Read(telemetry.Reading{
		Name: "aimux_controlplane_webhook_events_total", Help: "Events by what became of them for a webhook: delivered, refused by it, dropped because it owed too many (full), or not taken within an hour (late).", Counter: true, Labels: []string{"webhook", "fate"},
		Read: func(give func(float64, ...string)) {
			for name, s := range r.herald.notifier.States() {
				for fate, n := range s.Fates {
					give(float64(n), name, notify.Fate(fate).String())
				}
			}
		},
	})
	r.metrics.Read(telemetry.Reading{
		Name: "aimux_controlplane_webhook_owed", Help: "Events that a webhook is still to be told.", Labels: []string{"webhook"},
		Read: func(give func(float64, ...string)) {
			for name, s := range r.herald.notifier.States() {
				give(float64(s.Queued), name)
			}
		},
	})
}

// busTraffic is the bus's own count of messages.
func busTraffic(b *bus.Bus) telemetry.Reading {
	return telemetry.Reading{
		Name: "aimux_bus_messages_total", Help: "Messages on the bus, by kind and what became of them.", Counter: true, Labels: []string{"kind", "result"},
		Read: func(give func(float64, ...string)) {
			for _, t := range b.Stats().Traffic {
				give(float64(t.Sent), t.Name, "sent")
				give(float64(t.Unsent), t.Name, "unsent")
				give(float64(t.Received), t.Name, "received")
				give(float64(t.Malformed), t.Name, "malformed")
				give(float64(t.Overflowed), t.Name, "overflowed")
				give(float64(t.Forged), t.Name, "forged")
			}
		},
	}
}
