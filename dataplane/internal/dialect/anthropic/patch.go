package anthropic

import (
	"bytes"
	"strconv"

	"github.com/aimux/aimux/dataplane/internal/dialect"
	"github.com/aimux/aimux/shared/route"
)

// billing begins a system block that one coding agent changes with every request, which defeats every prompt cache but its vendor's.
var billing = []byte("x-anthropic-billing-header:")

// Patch changes what a provider of this format cannot take as the client wrote it.
func (Dialect) Patch(p *dialect.Patcher, c *dialect.Call) {
	out := &dialect.Outbound{Target: &c.Target, Notes: p.Notes, Model: dialect.SheetModel(&c.Target)}
	if !p.Counting {
		if stream := c.UpstreamStreams(); stream != p.Get("stream").True() {
			p.Set("stream", strconv.AppendBool(nil, stream))
		}
	}
	patchLimit(p, out)
	patchSampling(p, out)
	patchEffort(p, out)
	if out.Ignores("stop_sequences") || out.Refuses("stop_sequences") {
		p.EmulateStops = stops(p.Get("stop_sequences"))
	}
	if c.Target.Sheet.Kind != "anthropic" {
		dropBilling(p)
	}
	patchTools(p, out)
	thinking := c.StripThinking || p.Picky || p.Thought && bytes.Contains(p.Body, []byte("aimux1."))
	if thinking || p.EmptyText {
		stripBlocks(p, thinking, c.StripThinking)
	}
}

// serverSide is what a provider has to be able to do for a tool that it runs itself.
func serverSide(tool dialect.Value) route.Capability {
	switch server(tool.Get("type").Plain()) {
	case "web_search":
		return route.WebSearch
	case "web_fetch":
		return route.WebFetch
	case "code_execution":
		return route.CodeExec
	case "mcp":
		return route.MCP
	}
	return 0
}

// patchTools leaves out tools that the provider is known not to run, if the request still makes sense without.
func patchTools(p *dialect.Patcher, out *dialect.Outbound) {
	if ran := p.Asks & (route.WebSearch | route.WebFetch | route.CodeExec | route.MCP); ran&^(out.Target.Has|out.Target.Unknown) == 0 {
		return
	}
	tools := p.Get("tools")
	choice := p.Get("tool_choice").Get("type").Plain()
	free := choice != "any" && choice != "tool"
	var lost []int
	for i, tool := range tools.Items() {
		if need := serverSide(tool); need != 0 && out.Target.Lacks(need) {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 {
		return
	}
	for _, i := range lost {
		const why = "the provider does not run this tool"
		if free && len(lost) < tools.Len() {
			p.Notes.Degrade(dialect.Path("tools", i), why)
		} else {
			p.Notes.Refuse(dialect.Path("tools", i), why)
		}
	}
	p.Filter(tools, func(_ dialect.Text, tool dialect.Value) bool {
		need := serverSide(tool)
		return need != 0 && out.Target.Lacks(need)
	})
}

func patchLimit(p *dialect.Patcher, out *dialect.Outbound) {
	n, ok := p.Get("max_tokens").Int()
	if most := out.Target.MaxOutputTokens; ok && most > 0 && n > most {
		p.Set("max_tokens", strconv.AppendInt(nil, int64(most), 10))
		p.Notes.Degrade("max_tokens", "clamped to the model's "+strconv.Itoa(most))
	}
}

func patchSampling(p *dialect.Patcher, out *dialect.Outbound) {
	if out.Model != nil && out.Model.NoSampling {
		for _, name := range [...]string{"temperature", "top_p", "top_k"} {
			if p.Drop(name) {
				p.Notes.Degrade(name, "the model does not take it")
			}
		}
		return
	}
	low, high := out.Target.Sheet.TemperatureMin, out.Target.Sheet.TemperatureMax
	t, ok := p.Get("temperature").Float()
	if !ok || low == 0 && high == 0 || t >= low && t <= high {
		return
	}
	bound := strconv.AppendFloat(nil, min(max(t, low), high), 'g', -1, 64)
	p.Set("temperature", bound)
	p.Notes.Degrade("temperature", "clamped to "+string(bound))
}

func patchEffort(p *dialect.Patcher, out *dialect.Outbound) {
	effort := p.Get("output_config").Get("effort")
	if !effort.String() || out.Target.Efforts == nil {
		return
	}
	clamped := dialect.ClampEffort(effort.Plain(), out.Target.Efforts)
	switch {
	case clamped == effort.Plain():
	case clamped == "":
		p.Filter(p.Get("output_config"), func(key dialect.Text, _ dialect.Value) bool { return string(key) == "effort" })
		p.Notes.Degrade("output_config.effort", "the model has no such setting")
	default:
		p.Replace(effort, dialect.AppendString(nil, clamped))
		p.Notes.Degrade("output_config.effort", "clamped to "+clamped)
	}
}

func dropBilling(p *dialect.Patcher) {
	system := p.Get("system")
	isBilling := func(_ dialect.Text, block dialect.Value) bool {
		return bytes.HasPrefix(block.Get("text").Text(), billing)
	}
	for _, block := range system.Items() {
		if isBilling(nil, block) {
			if system.Len() == 1 {
				p.Drop("system")
			} else {
				p.Filter(system, isBilling)
			}
		}
		return // it is the first, or there is none
	}
}

// stripBlocks leaves out of the model's own turns the text without words, which models write and their providers refuse to take back, and the
// thinking that may not pass; all means any of it. A turn of which nothing is left goes too.
func stripBlocks(p *dialect.Patcher, thinking, all bool) {
	drop := func(_ dialect.Text, block dialect.Value) bool {
		switch block.Get("type").Plain() {
		case "text":
			text := block.Get("text")
			return text.String() && len(text.Text()) == 0
		case "thinking":
			return thinking && !p.KeepThinking(block.Get("signature").Text())
		case "redacted_thinking":
			return all
		}
		return false
	}
	empty := map[int]bool{}
	messages := p.Get("messages")
	for i, message := range messages.Items() {
		content := message.Get("content")
		if message.Get("role").Plain() == "assistant" && content.Len() > 0 && p.Filter(content, drop) == 0 {
			empty[i] = true
		}
	}
	if len(empty) == 0 {
		return
	}
	i := -1
	p.Filter(messages, func(dialect.Text, dialect.Value) bool {
		i++
		return empty[i]
	})
}
