package route

import (
	"cmp"
	"slices"
	"strings"
)

// names finds the targets that serve a requested model. Immutable; built once per catalog.
type names struct {
	// exact: a model's id, or a name in serves without '*' -> who answers to it.
	exact map[string][]hop
	// patterns from the most to the least specific: the more characters they spell out.
	patterns []pattern
	// all targets in use, in the operator's order: where an unknown model goes when the policy says any.
	all []hop
	// fallback targets, which take any model that somebody serves.
	fallback []hop
}

// hop is one target that answers to a name. Hops of one provider stand together, in the operator's order of its models.
type hop struct {
	target, provider int32
}

type pattern struct {
	text string
	head string // before its first star
	hops []hop
}

// settle indexes the names of all targets in use, and everything else that Pick wants to find ready.
func (c *catalog) settle() {
	c.names.exact = make(map[string][]hop)
	byText := make(map[string]int) // pattern -> its place
	for i := range c.targets {
		t := &c.targets[i]
		if !c.inUse(t.Provider) {
			continue
		}
		h := hop{int32(i), int32(t.Provider)}
		c.names.all = append(c.names.all, h)
		if c.providers[t.Provider].Fallback {
			c.names.fallback = append(c.names.fallback, h)
		}
		c.exactly(t.Model, h)
		for _, name := range t.Serves {
			if !strings.Contains(name, "*") {
				c.exactly(name, h)
				continue
			}
			at, known := byText[name]
			if !known {
				at = len(c.names.patterns)
				byText[name] = at
				head, _, _ := strings.Cut(name, "*")
				c.names.patterns = append(c.names.patterns, pattern{text: name, head: head})
			}
			if p := &c.names.patterns[at]; !slices.Contains(p.hops, h) {
				p.hops = append(p.hops, h)
			}
		}
	}
	slices.SortStableFunc(c.names.patterns, func(a, b pattern) int { return cmp.Compare(spelled(b.text), spelled(a.text)) })
	for i := range c.providers {
		if c.inUse(i) {
			c.size++
		}
	}
	c.settleRows()
}

// exactly adds a hop to a name. A model whose own id it is stands before those that only serve it, within its provider.
func (c *catalog) exactly(name string, h hop) {
	hops := c.names.exact[name]
	if slices.Contains(hops, h) {
		return
	}
	at := len(hops)
	if c.targets[h.target].Model == name {
		for at > 0 && hops[at-1].provider == h.provider {
			at--
		}
	}
	c.names.exact[name] = slices.Insert(hops, at, h)
}

// inUse reports whether a provider takes part at all: enabled, and in a region that may be used.
func (c *catalog) inUse(provider int) bool {
	p := &c.providers[provider]
	return p.Enabled && c.inRegion(p)
}

func (c *catalog) inRegion(p *Provider) bool {
	return len(c.policy.Regions) == 0 || slices.Contains(c.policy.Regions, p.Region)
}

// spelled is how many characters a pattern spells out.
func spelled(pattern string) int { return len(pattern) - strings.Count(pattern, "*") }

// Match reports whether a name matches a pattern in which '*' stands for any run of characters, the empty one too.
func Match(pattern, name string) bool {
	head, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], after
	}
}

// stage is one step of the order in which a model resolves.
type stage uint8

const (
	byName    stage = iota // its id, or a name in serves
	byPattern              // a pattern in serves
	byPolicy               // nobody knows it, and the policy says any
)

// walk lets w visit the targets that serve the model, in the order of resolution: by name, then by pattern from the most specific on; if there
// is neither, all, unless the policy rejects unknown models. It returns false if the model is served by nobody.
func (t *Table) walk(model string, w *walker) (served bool) {
	if len(model) > NameMax {
		return false
	}
	if only, rest, ok := t.pinned(model); ok {
		w.only = int32(only)
		if t.walkNames(rest, w) {
			return true
		}
		w.only = -1
		if w.visit(t.names.exact[model], byName) { // an id that has a provider's name and a slash in it
			return true
		}
		w.only = int32(only)
		return t.walkAny(w)
	}
	return t.walkNames(model, w) || t.walkAny(w)
}

// pinned splits "provider/model" when the first part is a provider.
func (t *Table) pinned(model string) (provider int, rest string, ok bool) {
	id, rest, ok := strings.Cut(model, "/")
	if !ok {
		return -1, "", false
	}
	provider, ok = t.byID[id]
	return provider, rest, ok
}

func (t *Table) walkNames(model string, w *walker) (served bool) {
	served = w.visit(t.names.exact[model], byName)
	for i := range t.names.patterns {
		if p := &t.names.patterns[i]; strings.HasPrefix(model, p.head) && Match(p.text, model) && w.visit(p.hops, byPattern) {
			served = true
		}
	}
	return served
}

// serves reports whether a provider has a model of that name, or one that answers to it.
func (n *names) serves(name string, provider int32) bool {
	its := func(h hop) bool { return h.provider == provider }
	return slices.ContainsFunc(n.exact[name], its) ||
		slices.ContainsFunc(n.patterns, func(p pattern) bool { return Match(p.text, name) && slices.ContainsFunc(p.hops, its) })
}

func (t *Table) walkAny(w *walker) bool {
	return !t.policy.RejectUnknown && w.visit(t.names.all, byPolicy)
}
