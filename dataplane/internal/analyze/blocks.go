package analyze

import "github.com/aimux/aimux/shared/route"

// blockKind is the type of a content block, as far as it matters here.
type blockKind uint8

const (
	untypedBlock blockKind = iota
	otherBlock
	textBlock
	imageBlock
	documentBlock
	toolUse
	toolResult
	thinkingBlock
	containerUpload
)

func kindOf(name []byte) blockKind {
	switch string(name) {
	case "text":
		return textBlock
	case "image":
		return imageBlock
	case "document":
		return documentBlock
	case "tool_use":
		return toolUse
	case "tool_result":
		return toolResult
	case "thinking":
		return thinkingBlock
	case "container_upload":
		return containerUpload
	}
	return otherBlock
}

// block is what has been read of a content block; its members come in any order, so it is judged at its end.
type block struct {
	kind                 blockKind
	text                 text
	hasText, hasSource   bool
	hasThinking, input   bool
	id, name, answers    bool
	contentAt, contentIs int // where its content stands, and whether it was in order: see blockContent
	source               source
}

// block reads one content block; nested ones, of a tool result say, are no words of whoever sends the message, and may be of shapes
// that only the provider knows.
func (a *Analyzer) block(nested bool) blockKind {
	start := a.at
	var b block
	for o := a.record("must be a content block"); a.member(&o); {
		switch string(o.key) {
		case "type":
			a.peek()
			if t := a.name(); !a.failed() {
				b.kind = kindOf(a.plain(t))
			}
		case "text":
			b.text, b.hasText = a.stringValue(), true
		case "source":
			if b.hasSource = a.peek() == '{'; b.hasSource {
				a.sourceField(&b.source)
			} else {
				a.value()
			}
		case "content":
			b.contentAt = a.at
			b.contentIs = a.blockContent()
		case "input":
			b.input = a.peek() == '{'
			a.counted()
		case "id":
			b.id = !a.stringValue().empty()
		case "name":
			b.name = !a.stringValue().empty()
		case "tool_use_id":
			b.answers = !a.stringValue().empty()
		case "thinking":
			a.count(a.stringValue())
			b.hasThinking = true
		case "title", "context", "stdout", "stderr", "url":
			a.counted()
		default:
			a.value()
		}
	}
	if !a.failed() {
		a.judge(&b, start, nested)
	}
	return b.kind
}

// judge checks a block that has been read, and notes what it means.
func (a *Analyzer) judge(b *block, start int, nested bool) {
	if b.hasText {
		if b.kind == textBlock && !nested {
			a.heard(b.text)
		} else {
			a.count(b.text)
		}
	}
	switch b.kind {
	case untypedBlock:
		if !nested {
			a.lack(start, "type", "is required")
		}
	case textBlock:
		if !b.hasText {
			a.lack(start, "text", "is required")
		}
		a.out.EmptyText = a.out.EmptyText || b.text.empty()
	case imageBlock, documentBlock:
		if !b.hasSource {
			a.lack(start, "source", "is required")
			return
		}
		a.judgeSource(b)
	case toolUse:
		a.tally.calls++
		a.requireAll(start, b.id, "id", b.name, "name")
		if !b.input {
			a.lack(start, "input", "must be an object")
		}
	case toolResult:
		a.requireAll(start, b.answers, "tool_use_id", true, "")
		if b.contentIs == contentOdd {
			a.fail(b.contentAt, "must be a string or an array of content blocks")
		}
		a.facts.toolHistory = true
	case thinkingBlock:
		if !b.hasThinking {
			a.lack(start, "thinking", "is required")
		}
		a.out.Thought = true
	case containerUpload:
		a.need(route.FileIDs | route.Container)
	}
}

// requireAll refuses the block at start for the first of two members that it should have.
func (a *Analyzer) requireAll(start int, has bool, member string, has2 bool, member2 string) {
	const reason = "must be a string that is not empty"
	if !has {
		a.lack(start, member, reason)
	} else if !has2 {
		a.lack(start, member2, reason)
	}
}

const (
	contentFine = iota
	contentOdd
)

// blockContent reads what a block holds: a string, blocks, or something that only the provider knows.
func (a *Analyzer) blockContent() int {
	switch a.peek() {
	case '"':
		a.count(a.str())
	case '[':
		is := contentFine
		for l := a.array(); a.element(&l); {
			if a.peek() == '{' {
				a.block(true)
			} else {
				a.counted()
				is = contentOdd
			}
		}
		return is
	case '{':
		a.block(true)
		return contentOdd
	case 'n':
		a.null()
	default:
		a.counted()
		return contentOdd
	}
	return contentFine
}

// source is where an image or a document comes from.
type source struct {
	kind                   sourceKind
	at                     int
	data                   text
	hasData, hasURL, hasID bool
	hasMediaType, isPDF    bool
	hasContent             bool
	typed                  bool
}

type sourceKind uint8

const (
	otherSource sourceKind = iota
	base64Source
	urlSource
	fileSource
	textSource
	contentSource
)

func (a *Analyzer) sourceField(s *source) {
	s.at = a.at
	for o := a.object(); a.member(&o); {
		switch string(o.key) {
		case "type":
			s.typed = true
			t := a.stringValue()
			switch string(a.plain(t)) {
			case "base64":
				s.kind = base64Source
			case "url":
				s.kind = urlSource
			case "file":
				s.kind = fileSource
			case "text":
				s.kind = textSource
			case "content":
				s.kind = contentSource
			}
		case "media_type":
			t := a.stringValue()
			s.hasMediaType = true
			s.isPDF = string(a.plain(t)) == "application/pdf"
		case "data":
			s.data, s.hasData = a.stringValue(), true
		case "url":
			s.hasURL = !a.stringValue().empty()
		case "file_id":
			s.hasID = !a.stringValue().empty()
		case "content":
			a.blockContent()
			s.hasContent = true
		default:
			a.value()
		}
	}
}

// judgeSource checks an image's or a document's source, and notes what it needs.
func (a *Analyzer) judgeSource(b *block) {
	s := &b.source
	const reason = "is required"
	switch {
	case !s.typed:
		a.lack(s.at, "type", reason)
	case (s.kind == base64Source || s.kind == textSource) && !s.hasData:
		a.lack(s.at, "data", reason)
	case s.kind == base64Source && !s.hasMediaType:
		a.lack(s.at, "media_type", reason)
	case s.kind == urlSource && !s.hasURL:
		a.lack(s.at, "url", reason)
	case s.kind == fileSource && !s.hasID:
		a.lack(s.at, "file_id", reason)
	case s.kind == contentSource && !s.hasContent:
		a.lack(s.at, "content", reason)
	}
	if s.kind == fileSource {
		a.need(route.FileIDs)
	}
	if b.kind == imageBlock {
		a.image()
		return
	}
	switch s.kind {
	case base64Source, urlSource:
		a.need(route.PDF)
		a.tally.pdf(s.data.end - s.data.start)
	case fileSource:
		a.tally.pdf(0)
	case textSource:
		a.count(s.data)
	}
}

func (a *Analyzer) image() {
	a.need(route.Vision)
	a.tally.images++
}
