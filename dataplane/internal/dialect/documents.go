package dialect

import (
	"slices"
	"strconv"
	"time"

	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/route"
)

// ModelInfo is a model as it is shown to clients.
type ModelInfo struct {
	ID, DisplayName, OwnedBy string
	Created                  time.Time
	// MaxInputTokens and MaxOutputTokens; 0 means unknown.
	MaxInputTokens, MaxOutputTokens int
	Has                             route.Capability
	Efforts                         []string
}

// ClientStatus is the HTTP status for a failure, as a client of that protocol understands it best.
func (t *Translator) ClientStatus(client route.Protocol, kind fault.Kind) int {
	if d := t.Dialect(client); d != nil {
		return d.ClientStatus(kind)
	}
	return kind.Rule().Status
}

// ErrorFor is a fault as the client is to see it. A provider's own timeout stays one.
func (t *Translator) ErrorFor(client route.Protocol, f *fault.Fault, requestID string) ErrorDoc {
	doc := ErrorDoc{Status: t.ClientStatus(client, f.Kind), Kind: f.Kind, Message: f.Message, Param: f.Param, RequestID: requestID}
	if f.Kind == fault.ServerError && (f.Status == 408 || f.Status == 504) {
		doc.Status = 504
	}
	if doc.Message == "" {
		doc.Message = f.Kind.String()
	}
	return doc
}

// PrepareCount patches a token count's body for a provider of the same format.
func (t *Translator) PrepareCount(dst []byte, c *Call) ([]byte, *Rejection) {
	call := *c
	if call.Target.Sheet == nil {
		call.Target.Sheet = noSheet
	}
	d := t.Dialect(c.Client)
	if d == nil || c.Client != c.Target.Protocol {
		return dst, &Rejection{Reason: "the provider counts tokens in another format", Elsewhere: true}
	}
	call.Target.Refused = call.Target.refusals(t.refused(&c.Target))
	notes := &Notes{}
	p := NewPatcher(Value(c.Body), c.Found, notes)
	p.Counting = true
	p.Set("model", AppendString(nil, c.Target.Model))
	p.KeepThinking = t.keepThinking(&call)
	d.Patch(p, &call)
	p.Strip(call.Target.Refused)
	return p.Apply(dst), notes.Rejected()
}

// EncodeCount appends the answer to a token count.
func EncodeCount(dst []byte, tokens int) []byte {
	return append(strconv.AppendInt(append(dst, `{"input_tokens":`...), int64(tokens), 10), '}')
}

// OverCount makes of an estimate one that is rather too high: a client that believes too little notices too late that its context is full.
func OverCount(tokens int) int { return tokens + tokens*15/100 + 8 }

// ModelsPage is a part of a list of models.
type ModelsPage struct {
	Models []ModelInfo
	// More there are in the direction in which the client goes.
	More bool
}

// PageModels cuts a list as a client asks for it: at most limit models, 0 for all, behind the one that is called after, or in front of the one
// called before; false if there is no such one.
func PageModels(models []ModelInfo, after, before string, limit int) (p ModelsPage, ok bool) {
	place := func(id string) int { return slices.IndexFunc(models, func(m ModelInfo) bool { return m.ID == id }) }
	if after != "" {
		at := place(after)
		if at < 0 {
			return p, false
		}
		models = models[at+1:]
	}
	if before != "" {
		at := place(before)
		if at < 0 {
			return p, false
		}
		models = models[:at]
	}
	n := len(models)
	if limit > 0 {
		n = min(n, limit)
	}
	p.More = n < len(models)
	if before != "" {
		p.Models = models[len(models)-n:]
	} else {
		p.Models = models[:n]
	}
	return p, true
}

// EncodeModels appends a list of models that the clients of every format understand.
func EncodeModels(dst []byte, p ModelsPage) []byte {
	models := p.Models
	dst = append(dst, `{"object":"list","data":[`...)
	for i := range models {
		dst = EncodeModel(Item(dst), &models[i])
	}
	dst = strconv.AppendBool(append(dst, `],"has_more":`...), p.More)
	dst = append(dst, `,"first_id":`...)
	if len(models) == 0 {
		return append(dst, `null,"last_id":null}`...)
	}
	dst = AppendString(dst, models[0].ID)
	dst = StringField(dst, "last_id", models[len(models)-1].ID)
	return append(dst, '}')
}

// EncodeModel appends one model.
func EncodeModel(dst []byte, m *ModelInfo) []byte {
	name := m.DisplayName
	if name == "" {
		name = m.ID
	}
	dst = append(dst, '{')
	dst = StringField(dst, "id", m.ID)
	dst = append(dst, `,"object":"model","type":"model"`...)
	dst = IntField(dst, "created", int(max(m.Created.Unix(), 0)))
	dst = StringField(dst, "created_at", m.Created.UTC().Format(time.RFC3339))
	dst = StringField(dst, "owned_by", m.OwnedBy)
	dst = StringField(dst, "display_name", name)
	if m.MaxInputTokens > 0 {
		dst = IntField(dst, "max_input_tokens", m.MaxInputTokens)
	}
	if m.MaxOutputTokens > 0 {
		dst = IntField(dst, "max_tokens", m.MaxOutputTokens)
	}
	dst = append(Key(dst, "capabilities"), '{')
	for _, c := range [...]struct {
		name string
		bit  route.Capability
	}{{"image_input", route.Vision}, {"pdf_input", route.PDF}, {"structured_outputs", route.JSONSchema}, {"code_execution", route.CodeExec}, {"thinking", route.Thinking}} {
		dst = supported(dst, c.name, m.Has&c.bit != 0)
	}
	dst = supported(dst, "effort", len(m.Efforts) > 0)
	return append(dst, '}', '}')
}

func supported(dst []byte, name string, yes bool) []byte {
	dst = append(Key(dst, name), `{"supported":`...)
	dst = strconv.AppendBool(dst, yes)
	return append(dst, '}')
}
