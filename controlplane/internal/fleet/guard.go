package fleet

import (
	"maps"
	"slices"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// route is the models that may serve the same request, with what each of them can carry.
type route struct {
	name    string
	members []member
	// spare: there is a fallback that serves when nothing else can.
	spare bool
	// alone: all members are of one provider. There is nothing to go to and so nothing to guard: a node tries the least bad there is, open or not.
	alone bool
}

type member struct {
	unit     *unit
	capacity float64
}

// lay finds the routes of a catalog: one for every name that a client may ask for, and one of everything if unknown names go anywhere.
func (f *Fleet) lay(c *tablev1.Config) {
	serves := map[string][]*unit{}
	spare := false
	for _, p := range c.GetProviders() {
		spare = spare || p.GetEnabled() && p.GetFallback()
		if !p.GetEnabled() || p.GetFallback() {
			continue
		}
		for _, m := range p.GetModels() {
			u := f.units[key{provider: p.GetId(), model: m.GetId()}]
			for _, name := range names(m, c.GetPolicy().GetUnknownModel() != "reject") {
				serves[name] = append(serves[name], u)
			}
		}
	}
	f.routes = f.routes[:0]
	for _, name := range slices.Sorted(maps.Keys(serves)) {
		r := &route{name: name, spare: spare}
		r.weigh(serves[name])
		f.routes = append(f.routes, r)
		for _, m := range r.members {
			m.unit.routes = append(m.unit.routes, r)
		}
	}
}

// anything is the route of requests for a model that nobody knows.
const anything = "*"

// names lists each name once by which a model may be asked for.
func names(m *tablev1.Model, unknownToo bool) []string {
	list := append([]string{m.GetId()}, m.GetServes()...)
	if unknownToo {
		list = append(list, anything)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// weigh gives each member the capacity of its provider, divided among the provider's members. Unless all of them say what they can carry,
// all count alike.
func (r *route) weigh(units []*unit) {
	of := map[*unit]float64{}
	limited := true
	r.alone = true
	for _, u := range units {
		r.alone = r.alone && u.provider == units[0].provider
		of[u.provider]++
		limited = limited && u.asked.capacity > 0
	}
	for _, u := range units {
		capacity := 1.0
		if limited {
			capacity = u.asked.capacity
		}
		r.members = append(r.members, member{unit: u, capacity: capacity / of[u.provider]})
	}
}

// out reports that the target's circuit, or its provider's, is open.
func (u *unit) out() bool {
	return !u.machine.State().Closed() || !u.provider.machine.State().Closed()
}

// unusable reports that the target cannot serve for a reason that is no matter of health: the operator's word, or refused keys.
func (u *unit) unusable(nowMS int64) bool {
	switch u.provider.override(nowMS) {
	case "open", "drain":
		return true
	}
	return u.provider.keyless()
}

// keyless reports that every key of the provider is refused.
func (u *unit) keyless() bool {
	for _, k := range u.keys {
		if k.machine.State().Closed() {
			return false
		}
	}
	return len(u.keys) > 0
}

// mayOpen reports whether the panic guard lets a circuit open: in every route it is part of, no more than PanicShare of the capacity would be out, or
// it would be the only one out; and another candidate would be left.
func (f *Fleet) mayOpen(u *unit, nowMS int64) bool {
	if u.key.credential != "" {
		return true
	}
	models := []*unit{u}
	if u.provider == u {
		models = u.models
	}
	for _, m := range models {
		for _, r := range m.routes {
			if !r.allows(u, f.config.PanicShare, nowMS) {
				return false
			}
		}
	}
	return true
}

// allows says whether u may open as far as this route is concerned.
func (r *route) allows(u *unit, share float64, nowMS int64) bool {
	if r.alone {
		return true
	}
	var total, out float64
	left, others := r.spare, false
	for _, m := range r.members {
		if m.unit.unusable(nowMS) {
			continue
		}
		total += m.capacity
		switch {
		case m.unit == u || m.unit.provider == u:
			out += m.capacity
		case m.unit.out():
			out += m.capacity
			others = others || m.unit.provider != u.provider
		default:
			left = true
		}
	}
	return left && (!others || out <= share*total)
}

// guard takes back what opened within the bounds and is beyond them now, because the route has become smaller since: the latest to open first.
func (f *Fleet) guard(nowMS int64) {
	for _, r := range f.routes {
		for range r.members {
			u := r.excess(f.config.PanicShare, nowMS)
			if u == nil {
				break
			}
			u.note(u.machine.Hold(nowMS))
		}
	}
}

// excess is the circuit that must not be open any more; nil when all is well.
func (r *route) excess(share float64, nowMS int64) *unit {
	var latest *unit
	for _, m := range r.members {
		for _, u := range [...]*unit{m.unit, m.unit.provider} {
			if m.unit.unusable(nowMS) || u.machine.State().Closed() {
				continue
			}
			if latest == nil || u.machine.Memory().OpenedMS > latest.machine.Memory().OpenedMS {
				latest = u
			}
		}
	}
	if latest == nil || r.allows(latest, share, nowMS) {
		return nil
	}
	return latest
}
