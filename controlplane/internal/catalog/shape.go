package catalog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aimux/aimux/shared/spelling"
)

// checkSyntax says where a document stops being JSON.
func checkSyntax(data []byte) (Problem, bool) {
	if len(bytes.TrimSpace(data)) == 0 {
		return Problem{Reason: "is empty; an empty catalog is {}"}, false
	}
	err := json.Unmarshal(data, new(json.RawMessage))
	if err == nil {
		return Problem{}, true
	}
	reason := "is not JSON: " + err.Error()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:min(int(syntax.Offset), len(data))]
		line, start := bytes.Count(before, []byte("\n"))+1, bytes.LastIndexByte(before, '\n')+1
		reason = fmt.Sprintf("is not JSON at line %d, column %d: %s", line, max(len(before)-start, 1), syntax.Error())
	}
	return Problem{Reason: reason}, false
}

// checkShape compares a JSON document with a message's descriptor and reports every difference. It accepts a little less than
// protojson does: no NaN or infinities, and no text with replacement characters.
func checkShape(data []byte, md protoreflect.MessageDescriptor) []Problem {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	w := walker{dec: dec}
	if token, ok := w.next(); ok {
		w.message("", md, token)
	}
	return w.done()
}

// walker goes through a document once, token by token, next to the descriptors. The document is known to be JSON.
type walker struct {
	report
	dec *json.Decoder
}

func (w *walker) next() (json.Token, bool) {
	token, err := w.dec.Token()
	return token, err == nil
}

func (w *walker) message(path string, md protoreflect.MessageDescriptor, token json.Token) {
	if token != json.Delim('{') {
		w.wrong(path, token, "must be an object")
		return
	}
	seen := make(map[protoreflect.Name]bool)
	w.members(func(name string) {
		fields := md.Fields()
		fd := fields.ByJSONName(name)
		if fd == nil {
			fd = fields.ByTextName(name)
		}
		token, ok := w.next()
		switch {
		case !ok:
		case fd == nil:
			w.add(at(path, name), w.skip(name, token), "is unknown%s", spelling.Meant(name, fields.Len(), func(i int) string { return string(fields.Get(i).Name()) }))
		case seen[fd.Name()]:
			w.add(at(path, name), w.skip(name, token), "is there twice")
		default:
			seen[fd.Name()] = true
			w.field(at(path, string(fd.Name())), fd, token)
		}
	})
}

// members calls each for every name of the object that has just been opened; each consumes the value.
func (w *walker) members(each func(name string)) {
	for w.dec.More() {
		name, ok := w.next()
		if !ok {
			return
		}
		text, _ := name.(string)
		each(text)
	}
	w.next()
}

// field checks the value of a field; null stands for leaving it out.
func (w *walker) field(path string, fd protoreflect.FieldDescriptor, token json.Token) {
	switch {
	case token == nil:
	case fd.IsMap():
		w.mapping(path, fd, token)
	case fd.IsList():
		w.list(path, fd, token)
	default:
		w.single(path, fd, token)
	}
}

func (w *walker) mapping(path string, fd protoreflect.FieldDescriptor, token json.Token) {
	if token != json.Delim('{') {
		w.wrong(path, token, "must be an object")
		return
	}
	seen := make(map[string]bool)
	w.members(func(name string) {
		token, ok := w.next()
		switch {
		case !ok:
		case seen[name]:
			w.add(at(path, name), w.skip(name, token), "is there twice")
		case strings.ContainsRune(name, utf8.RuneError):
			w.add(at(path, name), w.skip(name, token), "is not a valid name")
		default:
			seen[name] = true
			w.single(at(path, name), fd.MapValue(), token)
		}
	})
}

func (w *walker) list(path string, fd protoreflect.FieldDescriptor, token json.Token) {
	if token != json.Delim('[') {
		w.wrong(path, token, "must be a list")
		return
	}
	for i := 0; w.dec.More(); i++ {
		token, ok := w.next()
		if !ok {
			return
		}
		w.single(index(path, i), fd, token)
	}
	w.next()
}

func (w *walker) single(path string, fd protoreflect.FieldDescriptor, token json.Token) {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		w.message(path, fd.Message(), token)
	case protoreflect.StringKind:
		if text, ok := token.(string); !ok {
			w.wrong(path, token, "must be a string")
		} else if strings.ContainsRune(text, utf8.RuneError) {
			w.wrong(path, token, "holds characters that are not valid Unicode")
		}
	case protoreflect.BoolKind:
		if _, ok := token.(bool); !ok {
			w.wrong(path, token, "must be true or false")
		}
	case protoreflect.Uint32Kind:
		w.whole(path, token, 0, math.MaxUint32)
	case protoreflect.Uint64Kind:
		w.whole(path, token, 0, math.MaxUint64)
	case protoreflect.Int32Kind:
		w.whole(path, token, 1<<31, math.MaxInt32)
	case protoreflect.Int64Kind:
		w.whole(path, token, 1<<63, math.MaxInt64)
	case protoreflect.BytesKind:
		if text, ok := token.(string); !ok || !isBase64(text) {
			w.wrong(path, token, "must be bytes in base64")
		}
	case protoreflect.DoubleKind:
		text, ok := numeral(token)
		if !ok {
			w.wrong(path, token, "must be a number")
		} else if _, err := strconv.ParseFloat(text, 64); err != nil {
			w.wrong(path, token, "is beyond any number that can be kept")
		}
	default:
		w.wrong(path, token, "cannot be set in a file")
	}
}

// whole takes whole numbers from -lowest to most.
func (w *walker) whole(path string, token json.Token, lowest, most uint64) {
	text, ok := numeral(token)
	if !ok {
		w.wrong(path, token, "must be a whole number")
		return
	}
	digits, negative := strings.CutPrefix(text, "-")
	from, end := "0", most
	if lowest > 0 {
		from = "-" + strconv.FormatUint(lowest, 10)
		if negative {
			text, end = digits, lowest
		}
	}
	if n, ok := parseWhole(text); !ok || n > end {
		w.wrong(path, token, fmt.Sprintf("must be a whole number from %s to %d", from, most))
	}
}

// isBase64 reports whether protojson takes a text for bytes: either alphabet, padded or not.
func isBase64(text string) bool {
	alphabet := base64.StdEncoding
	if strings.ContainsAny(text, "-_") {
		alphabet = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		alphabet = alphabet.WithPadding(base64.NoPadding)
	}
	_, err := alphabet.DecodeString(text)
	return err == nil
}

// wrong reports a value and passes over it.
func (w *walker) wrong(path string, token json.Token, reason string) {
	w.add(path, w.skip(path, token), "%s", reason)
}

// skip passes over the value that begins with token and returns how to show it. It does not recurse: depth is the writer's choice.
func (w *walker) skip(field string, token json.Token) string {
	switch value := token.(type) {
	case json.Delim:
		for depth := 1; depth > 0; {
			token, ok := w.next()
			if !ok {
				break
			}
			switch token {
			case json.Delim('{'), json.Delim('['):
				depth++
			case json.Delim('}'), json.Delim(']'):
				depth--
			}
		}
		if value == '{' {
			return "{…}"
		}
		return "[…]"
	case string:
		return show(field, value)
	case json.Number:
		return strings.Trim(show(field, value.String()), `"`)
	case bool:
		return strconv.FormatBool(value)
	}
	return "null"
}

// numeral is the text of a number, which protojson also takes as a string.
func numeral(token json.Token) (string, bool) {
	switch value := token.(type) {
	case json.Number:
		return value.String(), true
	case string:
		if value == "" || strings.IndexByte("-0123456789", value[0]) < 0 || !json.Valid([]byte(value)) || strings.ContainsAny(value, " \t\r\n") {
			return "", false
		}
		return value, true
	}
	return "", false
}

// parseWhole reads a JSON number that is whole and not negative, whatever its spelling: 600, 600.0, 6e2.
func parseWhole(text string) (uint64, bool) {
	mantissa, exponent, scaled := strings.Cut(strings.ToLower(text), "e")
	exp := 0
	if scaled {
		var err error
		if exp, err = strconv.Atoi(exponent); err != nil || exp < -40 || exp > 40 {
			return 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, point := whole+fraction, len(whole)+exp
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	point = max(point, 0)
	if strings.Trim(digits[point:], "0") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint("0"+digits[:point], 10, 64)
	return n, err == nil && text[0] != '-'
}
