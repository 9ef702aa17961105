package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aimux/aimux/shared/spelling"
)

// edits are what the commands share that change a message: single settings, or the whole from a file.
type edits struct {
	Settings []string `arg:"" optional:"" names:"setting" help:"Settings as name=value; name= takes one back to its default." placeholder:"name=value" sep:"none"`
	File     string   `short:"f" help:"A JSON file that is the whole; - reads standard input." placeholder:"FILE"`
}

// over puts what was said over a message: settings over what it holds, a file in the place of all. what is its command's name.
func (e *edits) over(onto proto.Message, what string, street Street) error {
	if (e.File == "") == (len(e.Settings) == 0) {
		return fmt.Errorf("%s set takes either name=value settings or -f FILE", what)
	}
	if e.File == "" {
		return apply(onto, what, e.Settings)
	}
	text, err := readFile(e.File, street)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return parse(text, onto, what, e.File)
}

// parse reads the whole message from a file's text.
func parse(text []byte, onto proto.Message, what, file string) error {
	if err := protojson.Unmarshal(text, onto); err != nil {
		// protojson varies the space behind its own name on purpose.
		said := strings.TrimLeftFunc(strings.TrimPrefix(err.Error(), "proto:"), unicode.IsSpace)
		return fmt.Errorf("reading %s from %q: %s", what, file, said)
	}
	return nil
}

// readFile reads the file of that name, or standard input for -.
func readFile(name string, street Street) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(street.Stdin)
	}
	return os.ReadFile(name)
}

// apply puts name=value settings over a message. A value is JSON where the field is not text.
func apply(onto proto.Message, what string, settings []string) error {
	fields := onto.ProtoReflect().Descriptor().Fields()
	for _, setting := range settings {
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form name=value", setting)
		}
		field := fields.ByName(protoreflect.Name(name))
		if field == nil {
			return fmt.Errorf("%s has no setting %q%s", what, name, spelling.Meant(name, fields.Len(), func(i int) string { return string(fields.Get(i).Name()) }))
		}
		onto.ProtoReflect().Clear(field)
		if value == "" {
			continue
		}
		if field.Kind() == protoreflect.StringKind && !field.IsList() {
			quoted, err := json.Marshal(value)
			if err != nil {
				return err
			}
			value = string(quoted)
		}
		one := onto.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(fmt.Appendf(nil, "{%q: %s}", name, value), one); err != nil {
			return fmt.Errorf("setting %q does not take %s", name, value)
		}
		proto.Merge(onto, one)
	}
	return nil
}
