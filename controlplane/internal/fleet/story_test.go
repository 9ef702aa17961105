package fleet

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/outcome"
)

var rewrite = flag.Bool("rewrite", false, "write what the fleet does now into testdata; read the difference before you commit it")

// TestStories plays testdata/*.txt: blocks of what happens in a cluster, each followed by what the control plane made of it. The words are in
// (*story).play.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			playFile(t, file)
		})
	}
}

func playFile(t *testing.T, file string) {
	told, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{w: newWorld(1)}
	s.w.bus.part = map[string]int{}
	s.w.observe.decided = s.decided
	s.w.observe.accepted = s.accepted
	var happened bytes.Buffer
	for block := range strings.SplitSeq(strings.TrimRight(string(told), "\n"), "\n\n") {
		if happened.Len() > 0 {
			happened.WriteString("\n")
		}
		events, _, scene := strings.Cut(block, "\n----")
		happened.WriteString(events + "\n")
		if !scene {
			continue // prose
		}
		s.out.Reset()
		for line := range strings.Lines(events) {
			if words := strings.Fields(line); len(words) > 0 && words[0][0] != '#' {
				if err := s.play(words); err != nil {
					t.Fatalf("%q: %v", strings.TrimSpace(line), err)
				}
			}
		}
		happened.WriteString("----\n" + s.out.String())
	}
	if *rewrite {
		if err := os.WriteFile(file, happened.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(told), happened.String()); diff != "" {
		t.Errorf("the story goes otherwise now (-told +happened):\n%s", diff)
	}
}

type story struct {
	w        *world
	out      strings.Builder
	outliers string
}

func (s *story) linef(format string, args ...any) {
	fmt.Fprintf(&s.out, "%7.2fs ", float64(s.w.nowMS-worldBegin)/1000)
	fmt.Fprintf(&s.out, format+"\n", args...)
}

// decided tells of the leader's transitions.
func (s *story) decided(r *replica, d Decision) {
	for _, t := range d.Transitions {
		s.linef("%s: %s %s → %s: %s", r.name, key{t.GetProvider(), t.GetModel(), t.GetCredential()}, name(t.GetFrom()), name(t.GetTo()), t.GetReason())
	}
	if odd := strings.Join(d.Health.GetOutliers(), " "); odd != s.outliers && r.lead.Leading() {
		s.outliers = odd
		if odd == "" {
			odd = "none"
		} else {
			odd += ": " + strings.Join(d.Health.GetOutlierReasons(), "; ")
		}
		s.linef("%s: outliers: %s", r.name, odd)
	}
}

// accepted tells when the last node has heard of a change of circuits.
func (s *story) accepted(n *simNode, before, after *tablev1.Health) {
	if before.GetHeader().GetLeader() != after.GetHeader().GetLeader() && n == s.w.nodes[0] {
		s.linef("%s follows %s", n.name, after.GetHeader().GetLeader())
	}
}

// began tells of every probe, after "tell probes".
func (s *story) began(n *simNode, t outcome.Target, probe *key) {
	if probe != nil {
		s.linef("%s probes %s", n.name, probe)
	}
}

// play does one line: "providers a b", "nodes n1 n2 rate=10", "replicas cp-1", "run 10s", "provider a fails with=server_error share=0.5", …
func (s *story) play(words []string) error {
	w, args, values := s.w, []string(nil), map[string]string{}
	for _, word := range words[1:] {
		if k, v, ok := strings.Cut(word, "="); ok {
			values[k] = v
		} else {
			args = append(args, word)
		}
	}
	switch words[0] {
	case "providers":
		return s.providers(args, values)
	case "replicas":
		for _, a := range args {
			w.addReplica(a, values["region"])
		}
	case "nodes":
		rate, _ := strconv.ParseFloat(values["rate"], 64)
		for _, a := range args {
			w.addNode(a, values["region"], rate)
		}
	case "run":
		d, err := time.ParseDuration(args[0])
		w.run(d)
		return err
	case "provider":
		return s.behave(w.vendors[args[0]], args[1:], values)
	case "override":
		return s.override(args, values)
	case "forget":
		for _, r := range w.replicas {
			r.kept = nil
		}
	case "kill", "start":
		return s.power(words[0], args)
	case "cut":
		for _, a := range args {
			w.bus.part[a] = 1
		}
	case "heal":
		clear(w.bus.part)
	case "far":
		d, err := time.ParseDuration(args[0])
		w.bus.far = d
		return err
	case "quiet", "busy":
		for _, n := range w.nodes {
			if slices.Contains(args, n.name) {
				n.quiet = words[0] == "quiet"
			}
		}
	case "shares":
		s.shares()
	case "show":
		if len(args) == 0 {
			args = []string{w.nodes[0].name}
		}
		s.show(args[0])
	case "tell":
		s.w.observe.began = s.began
	default:
		return fmt.Errorf("no such word: %s", words[0])
	}
	return nil
}

func (s *story) providers(ids []string, values map[string]string) error {
	models := []string{"m"}
	if v := values["models"]; v != "" {
		models = strings.Split(v, ",")
	}
	keys, _ := strconv.Atoi(values["keys"])
	for _, id := range ids {
		p := s.w.addProvider(id, models, keys, 0)
		if v := values["check"]; v != "" {
			d, err := time.ParseDuration(v)
			if err != nil {
				return err
			}
			p.HealthCheckIntervalS = d.Seconds()
		}
	}
	s.w.ask()
	return nil
}

// behave changes how a provider does.
func (s *story) behave(v *vendor, args []string, values map[string]string) error {
	*v = vendor{latency: v.latency, slow: 1}
	if only := values["for"]; only != "" {
		v.only = strings.Split(only, ",")
	}
	if keys := values["key"]; keys != "" {
		v.badKeys = strings.Split(keys, ",")
	}
	v.retry, _ = time.ParseDuration(values["retry_after"])
	switch args[0] {
	case "recovers", "refuses":
	case "hangs":
		v.hang = true
	case "slows":
		v.slow, _ = strconv.ParseFloat(values["times"], 64)
	case "fails":
		k, ok := fault.Parse(values["with"])
		if !ok {
			return fmt.Errorf("no such fault: %s", values["with"])
		}
		v.kind, v.share = k, 1
		if share := values["share"]; share != "" {
			v.share, _ = strconv.ParseFloat(share, 64)
		}
	default:
		return fmt.Errorf("a provider cannot %s", args[0])
	}
	return nil
}

func (s *story) override(args []string, values map[string]string) error {
	i := slices.IndexFunc(s.w.config.GetProviders(), func(p *tablev1.Provider) bool { return p.GetId() == args[0] })
	o := &tablev1.Override{State: args[1], Reason: values["reason"]}
	if v := values["for"]; v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			return err
		}
		o.ExpiresUnixMs = s.w.nowMS + d.Milliseconds()
	}
	s.w.config.Providers[i].Override = o
	s.w.ask()
	return nil
}

// power stops or starts replicas and nodes. With "leader" it is whoever leads.
func (s *story) power(word string, names []string) error {
	for _, name := range names {
		found := false
		for _, r := range s.w.replicas {
			if r.name != name && (name != "leader" || !r.alive || !r.lead.Leading()) {
				continue
			}
			found = true
			if word == "kill" {
				s.linef("%s dies", r.name)
				r.stop()
			} else {
				r.start()
			}
			break
		}
		for _, n := range s.w.nodes {
			if n.name == name {
				found = true
				if word == "kill" {
					n.alive = false
				} else {
					n.start()
				}
			}
		}
		if !found {
			return fmt.Errorf("nobody is called %s", name)
		}
	}
	return nil
}

// shares prints what each region takes of everything, and of each provider.
func (s *story) shares() {
	told := map[string]bool{}
	for _, n := range s.w.nodes {
		if told[n.region] {
			continue
		}
		told[n.region] = true
		s.linef("%s takes %.0f %% of everything", n.region, percent(n.health.GetRegionSharePpm()))
		for _, e := range n.health.GetTargets() {
			if e.GetModel() == "" && e.GetCredential() == "" {
				fmt.Fprintf(&s.out, "          and %.0f %% of %s\n", percent(e.GetCapacitySharePpm()), e.GetProvider())
			}
		}
	}
}

// show prints the table as a node has it.
func (s *story) show(node string) {
	n := s.w.nodes[slices.IndexFunc(s.w.nodes, func(n *simNode) bool { return n.name == node })]
	h := n.health
	s.linef("as %s has it, from %s, %d nodes live", n.name, h.GetHeader().GetLeader(), h.GetNodesLive())
	for _, e := range h.GetTargets() {
		k := key{e.GetProvider(), e.GetModel(), e.GetCredential()}
		if k.model == "" && circuit.State(e.GetState()) == circuit.Healthy {
			continue
		}
		fmt.Fprintf(&s.out, "          %-10s %-12s", k, name(e.GetState()))
		if k.model != "" {
			fmt.Fprintf(&s.out, " weight %3.0f %%", float64(e.GetWeightPpm())*100/ppm)
		}
		fmt.Fprintf(&s.out, "  %s\n", e.GetReason())
	}
}
