package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/aimux/aimux/shared/circuit"
	"github.com/aimux/aimux/shared/clock"
)

// How long a probe may take: three times the p99 of the first token, within these bounds. A new leader waits for leaseMax before it grants any.
const (
	leaseMin = 5 * time.Second
	leaseMax = 10 * time.Second
)

// leaseMargin, in milliseconds, is by how much sooner a grant ends at its node than here: their clocks count as the same up to that, and the answer to a
// probe that goes on after its grant would be taken for the answer to the next.
const leaseMargin = int64(clock.Tolerance / time.Millisecond)

// grant gives one node the right to probe each target that is due.
func (f *Fleet) grant(nowMS int64) {
	quiet := nowMS < f.quietUntil
	var nodes []*node
	for _, u := range f.order {
		if quiet && !u.fresh() {
			continue
		}
		due := !quiet && u.machine.Due(nowMS) && u.override(nowMS) == "" && u.provider.override(nowMS) == ""
		if due && u != u.provider && !u.provider.machine.State().Closed() {
			continue // the provider itself comes first
		}
		if nowMS < u.check.expiresMS || !due && !u.idle(nowMS) {
			continue // a check is still out, or nothing is to be done
		}
		if nodes == nil {
			nodes = f.willing()
		}
		if len(nodes) == 0 {
			return
		}
		if due {
			f.grantTo(u, nodes, nowMS)
		} else {
			f.check(u, nodes, nowMS)
		}
	}
}

// willing lists the nodes that may be trusted with a probe: all that live and stay, but for outliers if there are others; the busiest first.
func (f *Fleet) willing() []*node {
	var list, odd []*node
	for _, n := range f.nodes {
		switch {
		case !n.live || n.draining():
		case n.outliers > 0:
			odd = append(odd, n)
		default:
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		list = odd
	}
	slices.SortFunc(list, func(a, b *node) int { return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(a.name, b.name)) })
	return list
}

// grantTo grants a probe: a real request to one of the busier half, so that there is one to grant it to; a free probe to anybody. No node gets two
// for one provider at a time, or the answer to one could be taken for the other's.
func (f *Fleet) grantTo(u *unit, nodes []*node, nowMS int64) {
	lease := f.lease(u, nowMS)
	if u.machine.WantsLive(nowMS) {
		nodes = nodes[:(len(nodes)+1)/2]
	}
	n := u.prober(nodes, lease, nowMS)
	if n == nil {
		return
	}
	ttl := min(max(3*u.speed.p99, leaseMin), leaseMax)
	_, r := u.machine.Grant(nowMS, lease, ttl)
	u.note(r)
	u.probe = probe{node: n.name, lease: lease}
}

// prober picks one of the nodes, by the lease; nil when all of them are at it.
func (u *unit) prober(nodes []*node, lease uint64, nowMS int64) *node {
	for i := range nodes {
		if n := nodes[(int(lease>>8&0xffff)+i)%len(nodes)]; !u.provider.probedBy(n.name, nowMS) {
			return n
		}
	}
	return nil
}

// probedBy reports whether a node holds a grant for the provider or anything of it, or checks it.
func (u *unit) probedBy(node string, nowMS int64) bool {
	if u.check.node == node && nowMS < u.check.expiresMS {
		return true
	}
	for _, list := range [...][]*unit{{u}, u.models, u.keys} {
		for _, o := range list {
			if g := o.machine.Probe(); g.Lease != 0 && o.probe.node == node && nowMS < g.ExpiresMS {
				return true
			}
		}
	}
	return false
}

// lease names a grant as no replica has named one before.
func (f *Fleet) lease(u *unit, nowMS int64) uint64 {
	f.leases++
	return uint64(nowMS)<<20 | (f.seed(u.key)+f.leases*0x9e3779b97f4a7c15)>>44
}

// idle reports that a provider is well as far as anybody knows, and that it is time to make sure.
func (u *unit) idle(nowMS int64) bool {
	if u != u.provider || u.asked.check <= 0 || !u.machine.State().Closed() || u.override(nowMS) != "" {
		return false
	}
	if u.fresh() || u.check.last.GetFault() != "" && u.okMS <= u.check.last.GetAtUnixMs() {
		return nowMS >= u.check.nextMS
	}
	if quiet := u.usedMS + u.asked.check.Milliseconds(); u.check.nextMS < quiet {
		u.check.nextMS = quiet
	}
	return nowMS >= u.check.nextMS
}

// fresh reports a provider that nobody has reached yet: it is verified at once, whoever leads since when.
func (u *unit) fresh() bool {
	return u == u.provider && u.check.last == nil && u.okMS == 0 && u.machine.Memory().OpenedMS == 0
}

// check sends one node to see whether an idle provider can be reached.
func (f *Fleet) check(u *unit, nodes []*node, nowMS int64) {
	lease := f.lease(u, nowMS)
	n := u.prober(nodes, lease, nowMS)
	if n == nil {
		return
	}
	wait := u.asked.check.Milliseconds()
	wait += int64(lease%1000) * wait / 5000 // up to a fifth later, so that checks do not march in step
	if u.fresh() {
		wait = min(wait, leaseMax.Milliseconds()) // and if nobody answers for the node, another is asked
	}
	u.check = check{
		node: n.name, lease: lease, expiresMS: nowMS + leaseMin.Milliseconds(), nextMS: nowMS + wait, last: u.check.last,
	}
}

// granted is the grant to be shown, with its holder; Lease 0 when there is none.
func (u *unit) granted(nowMS int64) (circuit.Grant, string) {
	if g := u.machine.Probe(); g.Lease != 0 {
		return g, u.probe.node
	}
	if u.check.lease != 0 && nowMS < u.check.expiresMS && u.machine.State().Closed() {
		return circuit.Grant{Lease: u.check.lease, ExpiresMS: u.check.expiresMS}, u.check.node
	}
	return circuit.Grant{}, ""
}
