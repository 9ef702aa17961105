package openai

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/fault"
)

// choicesMax bounds the choices of one answer: n is at most this.
const choicesMax = 128

// folder collects chunks into a completion. Fields that it does not know are kept, the last word of each.
type folder struct {
	top     []field
	choices []folded
}

// field is a member that is kept as it came.
type field struct {
	name  string
	value dialect.Value
}

// folded is one choice.
type folded struct {
	index    int
	texts    []text
	calls    calls
	args     [][]byte // of each call
	function *oneCall
	lists    []text // elements of arrays, joined by commas
	rest     []field
	finish   dialect.Value
	logprobs []text // lists by their names, elements joined by commas
}

type text struct {
	name string
	said []byte
}

// oneCall is a call of the old functions.
type oneCall struct{ name, args []byte }

func keep(fields []field, name string, v dialect.Value) []field {
	for i := range fields {
		if fields[i].name == name {
			fields[i].value = bytes.Clone(v)
			return fields
		}
	}
	return append(fields, field{name, bytes.Clone(v)})
}

func grow(texts []text, name, between string, t []byte) []text {
	for i := range texts {
		if texts[i].name == name {
			texts[i].said = append(append(texts[i].said, between...), t...)
			return texts
		}
	}
	return append(texts, text{name, bytes.Clone(t)})
}

// Frame takes one chunk.
func (f *folder) Frame(frame *dialect.Frame) {
	v := dialect.Value(bytes.TrimSpace(frame.Data))
	for key, value := range v.Fields() {
		switch name := string(key); name {
		case "choices":
			for _, choice := range value.Items() {
				f.choice(choice)
			}
		case "object", "obfuscation":
		default:
			if value.Set() || name != "usage" {
				f.top = keep(f.top, name, value)
			}
		}
	}
}

func (f *folder) choice(v dialect.Value) {
	index, _ := v.Get("index").Int()
	var c *folded
	for i := range f.choices {
		if f.choices[i].index == index {
			c = &f.choices[i]
		}
	}
	if c == nil {
		if len(f.choices) == choicesMax {
			return
		}
		f.choices = append(f.choices, folded{index: index})
		c = &f.choices[len(f.choices)-1]
	}
	for key, value := range v.Fields() {
		switch string(key) {
		case "delta":
			c.delta(value)
		case "finish_reason":
			if value.Set() {
				c.finish = bytes.Clone(value)
			}
		case "logprobs":
			for name, list := range value.Fields() {
				if list.Array() && list.Len() > 0 {
					c.logprobs = grow(c.logprobs, string(name), ",", list[1:len(list)-1])
				}
			}
		}
	}
}

func (c *folded) delta(delta dialect.Value) {
	for key, value := range delta.Fields() {
		switch name := string(key); {
		case name == "role" || !value.Set():
		case name == "tool_calls":
			for i, item := range value.Items() {
				c.call(item, i)
			}
		case name == "function_call":
			if c.function == nil {
				c.function = &oneCall{}
			}
			c.function.name = append(c.function.name, value.Get("name").Text()...)
			c.function.args = append(c.function.args, value.Get("arguments").Text()...)
		case value.String():
			c.texts = grow(c.texts, name, "", value.Text())
		case value.Array() && value.Len() > 0:
			c.lists = grow(c.lists, name, ",", value[1:len(value)-1])
		default:
			c.rest = keep(c.rest, name, value)
		}
	}
}

func (c *folded) call(v dialect.Value, at int) {
	i, args := c.calls.place(v, at, false)
	if i < 0 {
		return
	}
	if i == len(c.args) {
		c.args = append(c.args, nil)
	}
	was := len(c.args[i])
	if args.Object() {
		c.args[i] = dialect.AppendJSONInString(c.args[i], args)
	}
	c.args[i] = append(c.args[i], args.Text()...)
	if added := c.args[i][was:]; len(added) > 0 {
		c.calls[i].args = true
		c.calls[i].balance.Add(added)
	}
}

// Body appends the completion.
func (f *folder) Body(dst []byte) ([]byte, *fault.Fault) {
	dst = append(dst, '{')
	for _, x := range f.top {
		if x.name == "id" {
			dst = dialect.ValueField(dst, x.name, x.value)
		}
	}
	dst = dialect.StringField(dst, "object", "chat.completion")
	for _, x := range f.top {
		if x.name != "id" && x.name != "usage" {
			dst = dialect.ValueField(dst, x.name, x.value)
		}
	}
	dst = append(dialect.Key(dst, "choices"), '[')
	slices.SortFunc(f.choices, func(a, b folded) int { return a.index - b.index })
	for i := range f.choices {
		c := &f.choices[i]
		if bad := c.broken(); bad != nil {
			return dst, bad
		}
		dst = c.body(dialect.Item(dst))
	}
	dst = append(dst, ']')
	for _, x := range f.top {
		if x.name == "usage" {
			dst = dialect.ValueField(dst, x.name, x.value)
		}
	}
	return append(dst, '}'), nil
}

// broken finds arguments that are no JSON although the model was not cut off.
func (c *folded) broken() *fault.Fault {
	if string(c.finish) == `"length"` {
		return nil
	}
	for i := range c.calls {
		if args := c.args[i]; !c.calls[i].custom && len(args) > 0 && !dialect.Valid([]byte(dialect.Text(args).Plain())) {
			return brokenCall(c.calls[i].name)
		}
	}
	return nil
}

func brokenCall(name []byte) *fault.Fault {
	return &fault.Fault{Kind: fault.Garbage, Message: "the arguments of a call of " + dialect.Clean(dialect.Text(name).Plain()) + " are not JSON", Sent: true}
}

func (c *folded) body(dst []byte) []byte {
	dst = dialect.IntField(append(dst, '{'), "index", c.index)
	dst = append(dst, `,"message":{"role":"assistant"`...)
	content := []byte(nil)
	for _, t := range c.texts {
		if t.name == "content" {
			content = t.said
		}
	}
	refusal := slices.ContainsFunc(c.texts, func(t text) bool { return t.name == "refusal" })
	if len(content) > 0 || len(c.calls) == 0 && c.function == nil && !refusal {
		dst = dialect.TextField(dst, "content", content)
	} else {
		dst = append(dialect.Key(dst, "content"), "null"...)
	}
	for _, t := range c.texts {
		if t.name != "content" {
			dst = dialect.TextField(dst, t.name, t.said)
		}
	}
	if !refusal {
		dst = append(dialect.Key(dst, "refusal"), "null"...)
	}
	for _, l := range c.lists {
		dst = append(append(append(dialect.Key(dst, l.name), '['), l.said...), ']')
	}
	for _, x := range c.rest {
		dst = dialect.ValueField(dst, x.name, x.value)
	}
	if len(c.calls) > 0 {
		dst = append(dialect.Key(dst, "tool_calls"), '[')
		for i := range c.calls {
			dst = c.calls[i].body(dialect.Item(dst), i, c.args[i])
		}
		dst = append(dst, ']')
	}
	if c.function != nil {
		dst = dialect.TextField(append(dialect.Key(dst, "function_call"), '{'), "name", c.function.name)
		dst = append(dialect.TextField(dst, "arguments", c.function.args), '}')
	}
	dst = append(dst, `},"logprobs":`...)
	if c.logprobs == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, '{')
		for _, l := range c.logprobs {
			dst = append(append(append(dialect.Key(dst, l.name), '['), l.said...), ']')
		}
		dst = append(dst, '}')
	}
	if c.finish == nil {
		c.finish = dialect.Value("null")
	}
	return append(dialect.ValueField(dst, "finish_reason", c.finish), '}')
}

// body writes a call whose arguments are complete.
func (c *call) body(dst []byte, n int, args []byte) []byte {
	kind, field := "function", "arguments"
	if c.custom {
		kind, field = "custom", "input"
	}
	id := c.id
	if len(id) == 0 {
		id = strconv.AppendInt([]byte("call_"), int64(n), 10)
	}
	dst = dialect.TextField(append(dst, '{'), "id", id)
	dst = dialect.StringField(dst, "type", kind)
	dst = dialect.TextField(append(dialect.Key(dst, kind), '{'), "name", c.name)
	return append(dialect.TextField(dst, field, args), '}', '}')
}
