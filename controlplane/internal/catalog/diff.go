package catalog

import (
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
)

// Change is one setting that differs between two catalogs, for people.
type Change struct {
	// Path of the setting, as in [Problem].
	Path string
	// From and To are the values; empty means not set. Keys read [secret].
	From, To string
}

// String is one line: path: from -> to.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s -> %s", c.Path, or(c.From, "not set"), or(c.To, "not set"))
}

// Diff lists what differs in two documents' catalogs and in what operators decided by hand, by path. Models are compared by id, and their order on
// its own.
func Diff(before, after *adminv1.Document) []Change {
	from, to := make(map[string]leaf), make(map[string]leaf)
	for doc, leaves := range map[*adminv1.Document]map[string]leaf{before: from, after: to} {
		flatten("", doc.GetCatalog().ProtoReflect(), leaves)
		flatten("", (&adminv1.Document{Overrides: doc.GetOverrides()}).ProtoReflect(), leaves)
	}
	return compare(from, to)
}

func compare(from, to map[string]leaf) []Change {
	var changes []Change
	for path, old := range from {
		if old.exact != to[path].exact {
			changes = append(changes, Change{Path: path, From: old.shown, To: to[path].shown})
		}
	}
	for path, next := range to {
		if _, both := from[path]; !both {
			changes = append(changes, Change{Path: path, To: next.shown})
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].Path < changes[j].Path })
	return changes
}

// leaf is a setting: what is compared, and what may be shown of it.
type leaf struct{ exact, shown string }

// flatten writes every setting of a message into leaves, by path.
func flatten(path string, m protoreflect.Message, leaves map[string]leaf) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		here := at(path, string(fd.Name()))
		switch {
		case fd.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				entry := at(here, key.String())
				leaves[entry] = leaf{"there", "there"}
				flatten(entry, v.Message(), leaves)
				return true
			})
		case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			flattenNamed(here, v.List(), leaves)
		case fd.IsList():
			var exact, shown []string
			for i := range v.List().Len() {
				text := v.List().Get(i).String()
				exact, shown = append(exact, text), append(shown, show(here, text))
			}
			leaves[here] = leaf{strings.Join(exact, "\n"), strings.Join(shown, ", ")}
		case fd.Kind() == protoreflect.MessageKind:
			flatten(here, v.Message(), leaves)
		case fd.Kind() == protoreflect.StringKind:
			shown := show(here, v.String())
			if hook, ok := m.Interface().(*adminv1.Webhook); ok && fd.Name() == "url" {
				shown = showOrigin(hook.GetUrl())
			}
			leaves[here] = leaf{v.String(), shown}
		case fd.Kind() == protoreflect.BytesKind:
			leaves[here] = leaf{string(v.Bytes()), secret.Redacted}
		default:
			leaves[here] = leaf{v.String(), v.String()}
		}
		return true
	})
}

// flattenNamed names a list's messages by their ids, or by what stands first in them.
func flattenNamed(path string, list protoreflect.List, leaves map[string]leaf) {
	var order []string
	for i := range list.Len() {
		m := list.Get(i).Message()
		fields := m.Descriptor().Fields()
		name := fields.ByName("id")
		if name == nil {
			name = fields.ByNumber(1)
		}
		id := m.Get(name).String()
		order = append(order, id)
		flatten(path+"["+id+"]", m, leaves)
	}
	text := strings.Join(order, ", ")
	leaves[path] = leaf{text, text}
}
