package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

func looked(second int64, requests uint64) look {
	return look{
		at: time.Unix(second, 0),
		health: &tablev1.Health{Header: &tablev1.Header{Leader: "cp-1"}, Targets: []*tablev1.TargetHealth{
			{Provider: "idle", Model: "m", State: tablev1.State_STATE_HEALTHY, WeightPpm: 1e6},
			{Provider: "busy", Model: strings.Repeat("long-", 20), State: tablev1.State_STATE_HEALTHY, WeightPpm: 1e6, SuccessPpm: 1e6, FirstTokenMs: 12345, InFlight: 7},
			{Provider: "sick", State: tablev1.State_STATE_HEALTHY},
			{Provider: "sick", Model: "m", State: tablev1.State_STATE_CIRCUIT_OPEN, Reason: "60 % of 10 answers failed;\x1b[2J next probe in 2.4 s" + strings.Repeat(" and so on", 20)},
		}},
		nodes: []*adminv1.NodeEntry{
			{Live: true, Heartbeat: &tablev1.Heartbeat{Node: "node-1"}}, {Heartbeat: &tablev1.Heartbeat{Node: "node-2"}},
			{Live: true, Heartbeat: &tablev1.Heartbeat{Node: "node-3", LimitsAlone: true}},
		},
		usage: []*adminv1.Usage{{Provider: "busy", Model: strings.Repeat("long-", 20), Requests: requests, CostUsd: 0.5}},
	}
}

// The worst stands first with its reason, then what is busy; no line is wider than the page, and nothing of others moves the cursor.
func TestScreen(t *testing.T) {
	lines := screen([]look{looked(100, 50), looked(110, 80)}, page{width: 80, height: 24})
	text := strings.Join(lines, "\n")
	at := func(word string) int {
		i := strings.Index(text, word)
		if i < 0 {
			t.Fatalf("no %q in\n%s", word, text)
		}
		return i
	}
	if at("circuit_open") > at("60 % of 10 answers failed") || at("60 % of") > at("busy/") || at("busy/") > at("idle/") {
		t.Errorf("out of order:\n%s", text)
	}
	if strings.Contains(text, "node-1") || !strings.Contains(text, "node-2: silent since") || !strings.Contains(text, "node-3: does not reach Redis") {
		t.Errorf("nodes:\n%s", text)
	}
	if !strings.Contains(lines[0], "3.0 tries/s") || !strings.Contains(lines[0], "7 in flight") || !strings.Contains(lines[0], "2 of 3 nodes") {
		t.Errorf("headline %q", lines[0])
	}
	for _, line := range lines {
		if utf8.RuneCountInString(line) > 80 || strings.Contains(line, "\x1b") {
			t.Errorf("%q", line)
		}
	}
	short := screen([]look{looked(100, 50)}, page{width: 80, height: 8, trouble: "not connected: gone"})
	if len(short) > 8 || !strings.Contains(short[1], "not connected: gone") || !strings.Contains(short[len(short)-1], "1 more") {
		t.Errorf("%q", short)
	}
	if painted := strings.Join(screen([]look{looked(100, 50)}, page{width: 80, colour: true}), "\n"); !strings.Contains(painted, "\x1b[31mcircuit_open") {
		t.Errorf("%q", painted)
	}
}

func TestLookAsJSON(t *testing.T) {
	for _, l := range []look{looked(1, 2), {health: &tablev1.Health{}}} {
		var out bytes.Buffer
		var told struct {
			Health struct{ Targets []struct{ State string } }
			Usage  []struct{ Provider string }
		}
		if err := printLook(&out, l); err != nil || json.Unmarshal(out.Bytes(), &told) != nil || len(told.Health.Targets) != len(l.health.GetTargets()) || len(told.Usage) != len(l.usage) {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

// Whatever the size, nothing is wider or higher than the page, and the sick one stands on it with its reason.
func TestScreenOfAnySize(t *testing.T) {
	many := looked(100, 50)
	for i := range 50 {
		many.health.Targets = append(many.health.GetTargets(), &tablev1.TargetHealth{Provider: fmt.Sprintf("provider-%02d", i), Model: "m", State: tablev1.State_STATE_HEALTHY, WeightPpm: 1e6})
		many.nodes = append(many.nodes, &adminv1.NodeEntry{Heartbeat: &tablev1.Heartbeat{Node: fmt.Sprintf("gone-%02d", i)}})
	}
	for _, size := range [][2]int{{200, 60}, {80, 24}, {66, 20}, {40, 10}, {20, 6}} {
		p := page{width: size[0], height: size[1], trouble: "not connected: the admin API does not answer"}
		lines := screen([]look{many}, p)
		text := strings.Join(lines, "\n")
		if len(lines) > p.height {
			t.Errorf("%v: %d lines\n%s", size, len(lines), text)
		}
		for _, line := range lines {
			if utf8.RuneCountInString(line) > p.width {
				t.Errorf("%v: %q is %d wide", size, line, utf8.RuneCountInString(line))
			}
		}
		if p.width >= 40 && (!strings.Contains(text, "circuit_open") || !strings.Contains(text, "60 % of 10 answers") || !strings.Contains(text, "TRIES/S") || !strings.Contains(text, " more")) {
			t.Errorf("%v:\n%s", size, text)
		}
	}
}
