package dialect

import (
	"sync/atomic"

	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// Options of a Translator.
type Options struct {
	// Dialects are the formats that it speaks, one of each protocol.
	Dialects []Dialect
	// Key signs the thinking of providers that sign none themselves. Nodes that serve the same clients share it.
	Key [32]byte
	// Thoughts is how many tool calls are remembered with the thinking that led to them, each with at most 32 KiB; 0 means 2048.
	Thoughts int
	// Signers is how many signatures are remembered with the provider that made them; 0 means 16384.
	Signers int
}

// The bounds of what is learnt from providers.
const (
	defaultThoughts = 2048
	defaultSigners  = 16384
	thoughtMax      = 32 << 10
)

// Translator turns requests into what a provider takes and answers into what a client understands. Safe for concurrent use.
type Translator struct {
	dialects [8]Dialect
	key      [32]byte
	// thoughts that led to a tool call, for clients that do not carry them back.
	thoughts *memory[[]Block]
	// signers of signatures that this gateway did not make.
	signers *memory[string]
	learned atomic.Pointer[lessons]
}

// New makes a Translator.
func New(o Options) *Translator {
	if o.Thoughts == 0 {
		o.Thoughts = defaultThoughts
	}
	if o.Signers == 0 {
		o.Signers = defaultSigners
	}
	t := &Translator{key: o.Key, thoughts: newMemory[[]Block](o.Thoughts), signers: newMemory[string](o.Signers)}
	for _, d := range o.Dialects {
		t.dialects[d.Protocol()] = d
	}
	t.learned.Store(&lessons{})
	return t
}

// Dialect is the format of a protocol, or nil.
func (t *Translator) Dialect(p route.Protocol) Dialect {
	if int(p) < len(t.dialects) {
		return t.dialects[p]
	}
	return nil
}

// noSheet stands for a provider of which nothing is known.
var noSheet = &provider.Sheet{}

// Prepare makes one attempt's translation: the body for the provider, appended to dst, and the machine for its answer. A Rejection says
// why this target cannot take the request. Warnings are in the Reply's Progress.
//
// The body has been analyzed before: it is JSON, an object, and its fields have the right types.
func (t *Translator) Prepare(dst []byte, c *Call) ([]byte, Reply, *Rejection) {
	call := *c
	c = &call
	if c.Target.Sheet == nil {
		c.Target.Sheet = noSheet
	}
	if broken, ok := c.Behind.(*machine); ok {
		c.goOnward(broken)
	}
	client, server := t.Dialect(c.Client), t.Dialect(c.Target.Protocol)
	if client == nil || server == nil {
		return dst, nil, &Rejection{Reason: "this node does not speak the protocol of provider " + c.Target.Provider, Elsewhere: true}
	}
	m := &machine{t: t, client: client, server: server, sheet: c.Target.Sheet, toStream: c.streams(), named: c.Named}
	m.who = family(&c.Target)
	m.provider = c.Target.Provider
	m.requestID = c.RequestID
	notes := &Notes{strict: c.Target.Strict}
	c.Target.Refused = c.Target.refusals(t.refused(&c.Target))
	shape := Shape{RequestID: c.RequestID, CreatedUnix: c.Now.Unix()}
	if c.Found != nil {
		shape.Model, shape.Usage = c.Found.Ask.Model, c.Found.IncludeUsage
		m.promptTokens = c.Found.Ask.PromptTokens
	}
	if c.Client == c.Target.Protocol {
		dst = t.pass(dst, c, m, notes)
	} else {
		dst = t.cross(dst, c, m, notes, &shape)
	}
	if r := notes.Rejected(); r != nil {
		return dst, nil, r
	}
	if !m.toStream {
		shape.Usage, shape.Signatures = true, true
	}
	m.notes, shape.Lost = notes, m.lose
	m.begin(&shape, c)
	m.told = len(notes.Warnings)
	m.progress.Warnings, m.progress.WarningsDropped = notes.Warnings, notes.Dropped
	return dst, m, nil
}

// streams says whether the client wants a stream.
func (c *Call) streams() bool { return c.Found != nil && c.Found.Stream }

// UpstreamStreams says whether the provider is asked for a stream.
func (c *Call) UpstreamStreams() bool {
	return (c.streams() || c.StreamUpstream) && !c.Target.Lacks(route.Streaming)
}

// pass patches the client's own bytes for a provider of the same format.
func (t *Translator) pass(dst []byte, c *Call, m *machine, notes *Notes) []byte {
	p := NewPatcher(Value(c.Body), c.Found, notes)
	p.Set("model", AppendString(nil, c.Target.Model))
	p.KeepThinking, p.Picky = t.keepThinking(c), t.learned.Load().picky(c.Target.Provider)
	m.client.Patch(p, c)
	p.Disobeyed(c.Target.Sheet.Ignores)
	p.Strip(c.Target.Refused)
	if left := t.Betas(&c.Target, c.Target.Beta); left != c.Target.Beta {
		notes.Mention(betaHeader, "left out what the provider refuses")
	}
	m.pass = len(p.EmulateStops) == 0
	m.stops.want(p.EmulateStops)
	m.dropUsage = p.OwnUsage
	return p.Apply(dst)
}

// cross takes the request through the neutral middle.
func (t *Translator) cross(dst []byte, c *Call, m *machine, notes *Notes, shape *Shape) []byte {
	r := m.client.DecodeRequest(c.Body, notes)
	if notes.Rejected() != nil {
		return dst
	}
	if len(r.Messages) == 0 && len(r.Instructions) == 0 {
		notes.Reject("messages", "holds nothing that could be answered")
		return dst
	}
	target := &c.Target
	out := &Outbound{
		Target: target, Notes: notes, Names: &m.names, Stream: c.UpstreamStreams(), Model: SheetModel(target),
		Provenance: &Provenance{key: &t.key, family: m.who, strip: c.StripThinking, recall: func(id Text) []Block {
			blocks, _ := t.thoughts.get(memoryKey([]byte(m.who), id))
			return blocks
		}},
	}
	if len(r.Stop) > target.Sheet.StopMax {
		m.stops.want(r.Stop)
		r.Stop = nil
	} else if m.client.Protocol() == route.Anthropic {
		m.stops.want(r.Stop)
	}
	shape.Signatures, shape.Legacy, shape.HideThinking = r.WantsSignatures, r.Legacy, r.Thinking.Hidden
	return m.server.EncodeRequest(dst, r, out)
}

// keepThinking says which thinking blocks of a history may pass to a provider of the same format. Blocks that this gateway signed
// never may: their maker cannot verify them there.
func (t *Translator) keepThinking(c *Call) func(signature Text) bool {
	if c.StripThinking {
		return func(Text) bool { return false }
	}
	picky := t.learned.Load().picky(c.Target.Provider)
	return func(signature Text) bool {
		if Own(signature) {
			return false
		}
		if !picky {
			return true
		}
		maker, known := t.signers.get(memoryKey(signature))
		return known && maker == family(&c.Target)
	}
}

// SheetModel is the model of the target as its vendor describes it, or nil.
func SheetModel(target *Target) *provider.Model {
	for i := range target.Sheet.Models {
		if target.Sheet.Models[i].ID == target.Model {
			return &target.Sheet.Models[i]
		}
	}
	return nil
}

// EncodeError appends an error document in the client's format.
func (t *Translator) EncodeError(dst []byte, client route.Protocol, e *ErrorDoc) []byte {
	d := t.Dialect(client)
	if d == nil {
		d = t.Dialect(route.OpenAI)
	}
	return d.EncodeError(dst, e)
}

// valid reports one JSON object.
func valid(body []byte) (Value, bool) {
	v, ok := ParseValue(body)
	return v, ok && v.Object()
}
