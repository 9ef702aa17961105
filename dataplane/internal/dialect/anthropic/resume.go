package anthropic

import (
	"bytes"

	"github.com/aimux/aimux/dataplane/internal/dialect"
)

var _ dialect.Resumer = Dialect{}

// Resume appends the request sent with the answer so far at its end, as the turn that is to go on.
func (Dialect) Resume(dst, sent, answer []byte) ([]byte, bool) {
	var blocks []byte
	for _, b := range dialect.Value(answer).Get("content").Items() {
		if b.Get("type").Plain() == "text" && b.Get("text").Text().Blank() {
			continue // written by models, and refused from clients
		}
		if blocks != nil {
			blocks = append(blocks, ',')
		}
		blocks = append(blocks, b...)
	}
	p := dialect.NewPatcher(dialect.Value(sent), nil, &dialect.Notes{})
	messages := p.Get("messages")
	if blocks == nil || !messages.Array() {
		return dst, false
	}
	var last dialect.Value
	for _, m := range messages.Items() {
		last = m
	}
	content := last.Get("content")
	if last.Get("role").Plain() == "assistant" && content.Len() > 0 {
		grown := append(bytes.Clone(content[:len(content)-1]), ',')
		p.Replace(content, append(append(grown, blocks...), ']'))
	} else {
		grown := append(bytes.Clone(messages[:len(messages)-1]), `,{"role":"assistant","content":[`...)
		p.Replace(messages, append(append(grown, blocks...), "]}]"...))
	}
	return p.Apply(dst), true
}
