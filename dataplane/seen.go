package dataplane

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"

	"github.com/aimux/aimux/dataplane/internal/proxy"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/telemetry"
)

// debug starts the debug listener, if there is an address for it.
func (n *node) debug(ctx context.Context, start func(func(context.Context) error)) error {
	if n.cfg.Debug == "" {
		return nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", n.cfg.Debug)
	if err != nil {
		return fmt.Errorf("listening on %q (--debug): %w", n.cfg.Debug, err)
	}
	token, unfile, err := keyfile.DebugToken(n.cfg.Tokens, listener.Addr().String(), n.cfg.DebugOpen)
	if err != nil {
		listener.Close()
		return fmt.Errorf("--debug %s: %w", n.cfg.Debug, err)
	}
	if n.deps.DebugTLS != nil {
		listener = n.deps.DebugTLS.Listener(listener, "http/1.1")
	}
	start(func(ctx context.Context) error {
		defer unfile()
		return telemetry.Debug(ctx, listener, telemetry.DebugDeps{Token: token, Metrics: n.metrics, Level: n.deps.Level, Pages: map[string]telemetry.Page{
			"/debug/table": n.debugTable, "/debug/why": n.debugWhy, "/debug/limits": n.debugLimits,
		}})
	})
	return nil
}

func page(v any) (body []byte, contentType string) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return []byte(err.Error()), "text/plain; charset=utf-8"
	}
	return append(body, '\n'), "application/json"
}

// debugTable says what the node routes by, how old it is and where it came from. It holds no key.
func (n *node) debugTable(map[string][]string) ([]byte, string) {
	s := n.keeper.Status()
	return page(struct {
		Applied   *tablev1.Header `json:"applied"`
		Nack      *tablev1.Nack   `json:"nack,omitempty"`
		SilenceMs int64           `json:"silence_ms"`
		Outlier   string          `json:"outlier,omitempty"`
		Source    string          `json:"source"`
		Providers any             `json:"providers"`
	}{s.Applied, s.Nack, s.Silence.Milliseconds(), s.Outlier, string(s.Source), n.handler.Providers("")})
}

// debugWhy says how one provider stands with this node, and why: ?provider=ID.
func (n *node) debugWhy(query map[string][]string) ([]byte, string) {
	wanted := ""
	if q := query["provider"]; len(q) > 0 {
		wanted = q[0]
	}
	return page(n.handler.Providers(wanted))
}

// readings are the figures that others count and a scrape only reads.
func (n *node) readings() {
	gauge := func(name, help string, read func() float64) {
		n.metrics.Read(telemetry.Reading{Name: name, Help: help, Read: func(give func(float64, ...string)) { give(read()) }})
	}
	counter := func(name, help string, read func() uint64) {
		n.metrics.Read(telemetry.Reading{Name: name, Help: help, Counter: true, Read: func(give func(float64, ...string)) { give(float64(read())) }})
	}
	n.doorReadings()
	gauge("aimux_requests_in_flight", "Requests being served.", func() float64 { return float64(n.handler.InFlight()) })
	gauge("aimux_connections", "Open client connections.", func() float64 { return float64(n.street.Stats().Connections) })
	gauge("aimux_body_buffer_bytes", "Memory held by bodies of running requests, and by large ones of what is sent on and answered.", func() float64 { return float64(n.street.Stats().BufferBytes) })
	counter("aimux_connections_accepted_total", "Client connections accepted.", func() uint64 { return n.street.Stats().Accepted })
	counter("aimux_answers_too_slow_total", "Connections cut because the client took nothing of its answer in time.", func() uint64 { return n.street.Stats().AnswersTooSlow })
	counter("aimux_connections_evicted_total", "Idle client connections closed to make room for new ones.", func() uint64 { return n.street.Stats().Evicted })
	counter("aimux_connections_refused_total", "Client connections closed because there were too many.", func() uint64 { return n.street.Stats().Refused })
	counter("aimux_heads_refused_total", "Requests refused for what their head says, or for its size.", func() uint64 { return n.street.Stats().HeadsRefused })
	counter("aimux_heads_too_slow_total", "Connections closed because a request's head did not come in time.", func() uint64 { return n.street.Stats().HeadsTooSlow })
	counter("aimux_bodies_too_large_total", "Bodies refused for their size.", func() uint64 { return n.street.Stats().BodiesTooLarge })
	counter("aimux_bodies_too_slow_total", "Bodies refused because they came too slowly.", func() uint64 { return n.street.Stats().BodiesTooSlow })
	counter("aimux_bodies_no_room_total", "Bodies of requests and answers refused because all together filled their memory.", func() uint64 { return n.street.Stats().BodyFull })
	gauge("aimux_table_revision", "Revision of the configuration in use.", func() float64 { return float64(n.keeper.Status().Applied.GetConfigRevision()) })
	gauge("aimux_table_silence_seconds", "Time since the control plane was heard.", func() float64 { return n.keeper.Status().Silence.Seconds() })
	gauge("aimux_table_refused", "1 while the newest configuration was refused.", func() float64 {
		if n.keeper.Status().Nack != nil {
			return 1
		}
		return 0
	})
	counter("aimux_records_dropped_total", "Request records dropped for lack of room or bus.", func() uint64 { return n.reporter.Stats().RecordsDropped })
	counter("aimux_batches_sent_total", "Outcome batches sent.", func() uint64 { return n.reporter.Stats().BatchesSent })
	counter("aimux_batches_unsent_total", "Outcome batches that could not be sent.", func() uint64 { return n.reporter.Stats().BatchesUnsent })
	counter("aimux_outcomes_overflow_total", "Outcome events of targets beyond the counters' bound.", n.ledger.Overflow)
	n.circuits = n.metrics.Counters("aimux_circuit_changes_total", "Changes of this node's own circuits, by the state that they came to.", "provider", "model", "to")
	gauge("aimux_uptime_seconds", "Time since the node's start.", func() float64 { return time.Since(n.boot).Seconds() })
	n.targetReadings()
	n.limitReadings()
	n.pluginReadings()
	n.busReadings()
}

// targetReadings are one series per target each.
func (n *node) targetReadings() {
	labels := []string{"provider", "model"}
	type figure struct {
		name, help string
		value      func(s *proxy.Sign) float64
	}
	for _, f := range []figure{
		{"aimux_target_in_flight", "Attempts under way.", func(s *proxy.Sign) float64 { return float64(s.InFlight) }},
		{"aimux_target_circuit_open", "1 while this node's own circuit for the target is not closed.", func(s *proxy.Sign) float64 { return oneIf(!s.Circuit.Closed() || !s.ProviderCircuit.Closed()) }},
		{"aimux_target_state", "The cluster's view: 0 healthy, 1 degraded, 2 unhealthy, 3 open, 4 half open.", func(s *proxy.Sign) float64 { return float64(s.State) }},
		{"aimux_target_weight", "The cluster's weight, 1 being the configured one.", func(s *proxy.Sign) float64 { return s.Weight }},
		{"aimux_target_first_token_seconds", "This node's moving average of the time to the first token.", func(s *proxy.Sign) float64 { return s.FirstToken.Seconds() }},
	} {
		n.metrics.Read(telemetry.Reading{Name: f.name, Help: f.help, Labels: labels, Read: func(give func(float64, ...string)) {
			n.handler.Signs(func(s *proxy.Sign) { give(f.value(s), s.Provider, s.Model) })
		}})
	}
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (n *node) busReadings() {
	b := n.deps.Bus
	if b == nil {
		return
	}
	n.metrics.Read(telemetry.Reading{Name: "aimux_bus_connected", Help: "1 while the bus can be reached.", Read: func(give func(float64, ...string)) {
		give(oneIf(b.Connected()))
	}})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_bus_messages_total", Help: "Messages by kind and by what became of them.", Counter: true, Labels: []string{"kind", "result"},
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
	})
}
