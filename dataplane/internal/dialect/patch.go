package dialect

import (
	"slices"
	"strings"

	"github.com/aimux/aimux/dataplane/internal/analyze"
	"github.com/aimux/aimux/shared/route"
)

// Patcher changes single values of a body and leaves every other byte as it is. It is how a request passes to a provider that
// speaks the client's own format.
type Patcher struct {
	Body  Value
	Notes *Notes

	// KeepThinking says whether a thinking block of that signature may stay.
	KeepThinking func(signature Text) bool
	// Counting: the body is a token count, which is never streamed and has no answer.
	Counting bool
	// Picky: the provider has refused thinking that it did not sign itself.
	Picky bool
	// EmulateStops is set by the dialect to the stop sequences that the gateway has to watch for itself.
	EmulateStops []Text
	// OwnUsage is set by the dialect when usage was asked for that the client did not ask for.
	OwnUsage bool
	// Thought, EmptyText and Developer: the history may hold thinking, blocks of text without any, and messages of a developer. Where there is
	// none, nobody need look for it.
	Thought, EmptyText, Developer bool
	// Asks is what the request may ask a provider to do; all, where it has not been analyzed.
	Asks route.Capability

	lead    []byte // white space in front
	members []member
	edits   []edit
	added   []byte
}

// member is a field at the top of the body.
type member struct {
	span
	key     Text
	dropped bool
}

// edit replaces a range of the body.
type edit struct {
	start, end int
	with       []byte
}

// NewPatcher reads the top of body, which has to be an object: from what its analysis has found, or else by walking it once more.
func NewPatcher(body Value, found *analyze.Result, notes *Notes) *Patcher {
	p := &Patcher{lead: body[:skipSpace(body, 0)], Notes: notes, members: make([]member, 0, 16)}
	body = body[len(p.lead):]
	p.Body = body
	if found != nil {
		for _, m := range found.Members.All() {
			at := span{keyAt: m.Key.Start, keyEnd: m.Key.End, start: m.Value.Start, end: m.Value.End}.back(len(p.lead))
			p.members = append(p.members, member{span: at, key: body.key(at)})
		}
		p.Thought, p.EmptyText, p.Developer = found.Thought, found.EmptyText, found.Developer
		p.Asks = found.Ask.Needs | found.Ask.Wants
		if len(p.members) > 0 {
			return p
		}
	}
	p.Thought, p.EmptyText, p.Developer, p.Asks = true, true, true, ^route.Capability(0)
	for i, at := body.member(1); i > 0; i, at = body.member(i) {
		p.members = append(p.members, member{span: at, key: body.key(at)})
	}
	return p
}

// offset of v, which must be a part of the body: both slices end at the same capacity.
func (p *Patcher) offset(v Value) int { return cap(p.Body) - cap(v) }

// Get is a field at the top; nil when there is none.
func (p *Patcher) Get(name string) Value {
	for i := len(p.members) - 1; i >= 0; i-- {
		if m := &p.members[i]; string(m.key) == name && !m.dropped {
			return p.Body[m.start:m.end]
		}
	}
	return nil
}

// Set gives a field at the top a value, wherever it stood, or adds it in front.
func (p *Patcher) Set(name string, value []byte) {
	found := false
	for i := range p.members {
		if m := &p.members[i]; string(m.key) == name && !m.dropped {
			p.edits = append(p.edits, edit{m.start, m.end, value})
			found = true
		}
	}
	if found {
		return
	}
	p.added = append(p.added, '"')
	p.added = append(p.added, name...)
	p.added = append(p.added, `":`...)
	p.added = append(p.added, value...)
	p.added = append(p.added, ',')
}

// Drop leaves a field at the top out, and says whether there was one.
func (p *Patcher) Drop(name string) bool {
	found := false
	for i := range p.members {
		if m := &p.members[i]; string(m.key) == name && !m.dropped {
			m.dropped, found = true, true
		}
	}
	return found
}

// Rename changes the name of a field at the top.
func (p *Patcher) Rename(name, to string) {
	for i := range p.members {
		if m := &p.members[i]; string(m.key) == name && !m.dropped {
			p.edits = append(p.edits, edit{m.keyAt, m.keyEnd, AppendString(nil, to)})
			m.key = Text(to)
		}
	}
}

// Replace changes a value that is a part of the body.
func (p *Patcher) Replace(v Value, with []byte) {
	at := p.offset(v)
	p.edits = append(p.edits, edit{at, at + len(v), with})
}

// Insert puts something in front of a value that is a part of the body.
func (p *Patcher) Insert(before Value, with []byte) {
	at := p.offset(before)
	p.edits = append(p.edits, edit{at, at, with})
}

// RenameKey changes the name of the members of a nested object that are called so.
func (p *Patcher) RenameKey(object Value, name, to string) {
	base := p.offset(object)
	for i, at := object.member(1); i > 0; i, at = object.member(i) {
		if string(object.key(at)) == name {
			p.edits = append(p.edits, edit{base + at.keyAt, base + at.keyEnd, AppendString(nil, to)})
		}
	}
}

// Filter leaves out those members of an object or elements of an array that drop names, and says how many stay. Call it once for
// each container.
func (p *Patcher) Filter(container Value, drop func(key Text, v Value) bool) (left int) {
	cut := cutter{p: p, lastEnd: -1}
	base := p.offset(container)
	for i, at := container.member(1); i > 0; i, at = container.member(i) {
		cut.next(base+at.keyAt, base+at.end, drop(container.key(at), container[at.start:at.end]))
	}
	for _, v := range container.Items() {
		start := p.offset(v)
		cut.next(start, start+len(v), drop(nil, v))
	}
	cut.end()
	return cut.kept
}

// cutter turns a walk over members, each kept or dropped, into edits that leave the commas right.
type cutter struct {
	p         *Patcher
	kept      int
	lastEnd   int // end of the last kept member, -1 before the first
	runStart  int
	runEnd    int
	inDropped bool
}

func (c *cutter) next(start, end int, drop bool) {
	if drop {
		if !c.inDropped {
			c.inDropped, c.runStart = true, start
		}
		c.runEnd = end
		return
	}
	if c.inDropped && c.lastEnd < 0 {
		c.p.edits = append(c.p.edits, edit{c.runStart, start, nil})
		c.inDropped = false
	}
	c.end()
	c.lastEnd = end
	c.kept++
}

func (c *cutter) end() {
	if !c.inDropped {
		return
	}
	start := c.runStart
	if c.lastEnd >= 0 {
		start = c.lastEnd
	}
	c.p.edits = append(c.p.edits, edit{start, c.runEnd, nil})
	c.inDropped = false
}

// opaque names the members that carry the caller's own JSON: no rule about fields reaches into them.
func opaque(key Text) bool {
	switch string(key) {
	case "input", "input_schema", "parameters", "schema", "arguments", "metadata", "logit_bias", "data", "input_examples":
		return true
	}
	return false
}

// Strip leaves out the fields that the provider refuses and reports those that were there. A path names members by dots and elements
// by []; behind a leading *. it is looked for at every depth.
func (p *Patcher) Strip(paths []string) {
	deep := false
	for _, path := range paths {
		if strings.ContainsAny(path, ".[*") {
			deep = true
			continue
		}
		if p.Drop(path) {
			p.report(path)
		}
	}
	if !deep {
		return
	}
	at := make([]byte, 0, 64)
	for i := range p.members {
		m := &p.members[i]
		if m.dropped || opaque(m.key) {
			continue
		}
		if strings.Contains(string(m.key), ".") {
			continue
		}
		at = append(at[:0], m.key...)
		if refused(at, paths) {
			m.dropped = true
			p.report(string(at))
			continue
		}
		p.strip(p.Body[m.start:m.end], at, paths)
	}
}

func (p *Patcher) strip(v Value, at []byte, paths []string) {
	if v.Array() {
		at = append(at, '[', ']')
		for _, item := range v.Items() {
			if item.Object() || item.Array() {
				p.strip(item, at, paths)
			}
		}
		return
	}
	if !v.Object() {
		return
	}
	found := false
	for key, inner := range v.Fields() {
		if opaque(key) {
			continue
		}
		below := append(append(at, '.'), key...)
		if refused(below, paths) {
			found = true
		} else {
			p.strip(inner, below, paths)
		}
	}
	if !found {
		return
	}
	p.Filter(v, func(key Text, _ Value) bool {
		below := append(append(at, '.'), key...)
		if opaque(key) || !refused(below, paths) {
			return false
		}
		p.report(string(below))
		return true
	})
}

// report says that a field was left out. A mark for a cache changes what an answer costs, never what it says.
func (p *Patcher) report(path string) {
	const why = "refused by the provider"
	if strings.HasSuffix(path, "cache_control") || strings.HasSuffix(path, "cache_control.ttl") || strings.HasSuffix(path, "prompt_cache_breakpoint") {
		p.Notes.Mention(path, why)
		return
	}
	p.Notes.Degrade(path, why)
}

// Disobeyed reports the fields that the provider takes and does not obey.
func (p *Patcher) Disobeyed(ignores []string) {
	for _, name := range ignores {
		if (name == "stop" || name == "stop_sequences") && len(p.EmulateStops) > 0 {
			continue
		}
		if p.Get(name).Set() {
			p.Notes.Degrade(name, "the provider does not obey it")
		}
	}
}

// refused compares a place with the rules.
func refused(at []byte, paths []string) bool {
	for _, path := range paths {
		tail, anywhere := strings.CutPrefix(path, "*.")
		before := len(at) - len(tail)
		switch {
		case before < 0 || string(at[before:]) != tail:
		case before == 0 || anywhere && at[before-1] == '.':
			return true
		}
	}
	return false
}

// Apply appends the body with all changes made.
func (p *Patcher) Apply(dst []byte) []byte {
	cut := cutter{p: p, lastEnd: -1}
	for i := range p.members {
		m := &p.members[i]
		cut.next(m.keyAt, m.end, m.dropped)
	}
	cut.end()
	added := p.added
	if cut.kept == 0 && len(added) > 0 {
		added = added[:len(added)-1]
	}
	slices.SortStableFunc(p.edits, func(a, b edit) int {
		if a.start != b.start {
			return a.start - b.start
		}
		return b.end - a.end
	})
	dst = slices.Grow(dst, len(p.lead)+len(p.Body)+len(added)) // nearly always enough
	dst = append(dst, p.lead...)
	done := min(1, len(p.Body)) // behind the brace
	dst = append(dst, p.Body[:done]...)
	dst = append(dst, added...)
	for _, e := range p.edits {
		if e.start < done {
			continue // inside something that is gone already
		}
		dst = append(dst, p.Body[done:e.start]...)
		dst = append(dst, e.with...)
		done = e.end
	}
	return append(dst, p.Body[done:]...)
}
