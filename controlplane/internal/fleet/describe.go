package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aimux/aimux/shared/outcome"
)

// Describe tells an operator all of it, as text.
func (f *Fleet) Describe(now time.Time) string {
	var b strings.Builder
	f.describeTargets(&b, now.UnixMilli())
	f.describeNodes(&b, now)
	f.describeRegions(&b, now)
	b.WriteString("\nroutes\n")
	for _, r := range f.routes {
		fmt.Fprintf(&b, "  %-30s", r.name)
		for _, m := range r.members {
			fmt.Fprintf(&b, " %s (%.0f)", m.unit.key, m.capacity)
		}
		b.WriteString("\n")
	}
	b.WriteString("\ntransitions\n")
	for _, t := range f.transitions {
		k := key{t.GetProvider(), t.GetModel(), t.GetCredential()}
		fmt.Fprintf(&b, "  %s %s %s → %s: %s\n", time.UnixMilli(t.GetAtUnixMs()).UTC().Format(time.RFC3339), k,
			name(t.GetFrom()), name(t.GetTo()), t.GetReason())
	}
	return b.String()
}

// String names a unit as operators write it.
func (k key) String() string {
	switch {
	case k.credential != "":
		return k.provider + " key " + k.credential
	case k.model != "":
		return k.provider + "/" + k.model
	}
	return k.provider
}

// name is a state without the prefix of the wire.
func name(s fmt.Stringer) string { return strings.TrimPrefix(s.String(), "STATE_") }

func (f *Fleet) describeTargets(b *strings.Builder, nowMS int64) {
	role := "following"
	if f.leading {
		role = "leading"
	}
	fmt.Fprintf(b, "%s, %d targets, %d nodes", role, len(f.order), len(f.nodes))
	if nowMS < f.learnUntil {
		fmt.Fprintf(b, ", learning for another %d ms", f.learnUntil-nowMS)
	}
	b.WriteString("\n\ntargets\n")
	for _, u := range f.order {
		success, samples := u.machine.SuccessShare(nowMS)
		fmt.Fprintf(b, "  %-40s %-12s weight %3.0f %%  success %3.0f %% of %.0f  in flight %d  first token %v (usual %.0f ms)  %s\n",
			u.key, u.shown.state, float64(u.shown.weight)*100/ppm, 100*success, samples, u.inFlight, u.speed.p50.Round(time.Millisecond),
			u.speed.baseline, u.shown.reason)
		if f.Abroad() {
			f.describeHeed(b, u, nowMS)
		}
		if g, node := u.granted(nowMS); g.Lease != 0 {
			fmt.Fprintf(b, "  %-40s probe granted to %s for another %d ms, live %v\n", "", node, g.ExpiresMS-nowMS, g.Live)
		}
	}
}

// describeHeed tells of a target's part, and of what other regions' word does to it.
func (f *Fleet) describeHeed(b *strings.Builder, u *unit, nowMS int64) {
	fmt.Fprintf(b, "  %-40s this region takes %.1f %% of its limits", "", percent(u.share))
	if open := f.listen(u, nowMS).open; len(open) > 0 {
		fmt.Fprintf(b, "; out in %s", strings.Join(open, ", "))
	}
	switch {
	case u.heed.active:
		b.WriteString("; open here by their word")
	case nowMS < u.heed.distrustMS:
		fmt.Fprintf(b, "; probes have shown the contrary here, so that word is not heeded for another %d s", (u.heed.distrustMS-nowMS)/1000)
	}
	b.WriteString("\n")
}

// describeRegions tells of the other regions, where there are any.
func (f *Fleet) describeRegions(b *strings.Builder, now time.Time) {
	if !f.Abroad() {
		return
	}
	fmt.Fprintf(b, "\nregions\n  %-20s takes %4.1f %% of what all share, asks for %.1f/s\n", f.config.Region+", this one", percent(f.share), f.demand(now.UnixMilli()).rate)
	for _, name := range slices.Sorted(maps.Keys(f.regions)) {
		r := f.regions[name]
		if r.heardMS == 0 {
			fmt.Fprintf(b, "  %-20s its nodes are heard, but nobody leads it\n", name)
			continue
		}
		fmt.Fprintf(b, "  %-20s takes %4.1f %% of what all share, asks for %.1f/s; %d nodes, led by %s, heard %v ago\n", name, percent(r.share), r.demand.rate,
			r.nodes, r.leader, now.Sub(time.UnixMilli(r.heardMS)).Round(time.Millisecond))
		for _, k := range slices.SortedFunc(maps.Keys(r.targets), compareKeys) {
			if t := r.targets[k]; t.out {
				fmt.Fprintf(b, "  %-20s finds %s out: %s\n", "", k, t.reason)
			}
		}
	}
}

func percent(share uint32) float64 { return float64(share) * 100 / ppm }

func (f *Fleet) describeNodes(b *strings.Builder, now time.Time) {
	b.WriteString("\nnodes\n")
	for _, n := range f.Nodes() {
		state := "live"
		if !n.Live {
			state = "silent"
		}
		if n.Outlier {
			state += ", an outlier: " + f.oddity(f.nodes[n.Name], now.UnixMilli())
		}
		fmt.Fprintf(b, "  %-20s %-10s heard %v ago, %s\n", n.Name, n.Region, now.Sub(n.HeardAt).Round(time.Millisecond), state)
	}
	d := f.pool.Dropped()
	fmt.Fprintf(b, "  dropped: %d nodes and %d targets over the limit, %d broken, %d stale\n", d.Nodes+f.refused, d.Targets, d.Broken, d.Stale+f.late)
}

// Sum adds up what the latest boots of all nodes have counted of a target.
func (f *Fleet) Sum(t outcome.Target) outcome.Total { return f.pool.Sum(t) }
