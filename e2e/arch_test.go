package e2e

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/aimux/aimux/"

// pure are the rooms that hold no I/O, no time and no chance: all of that comes in as arguments. A room's children are pure with it.
var pure = []string{
	"shared/fault", "shared/clock", "shared/outcome", "shared/circuit", "shared/route", "shared/provider", "shared/secret", "shared/audit", "shared/identity", "shared/spelling",
	"dataplane/internal/analyze", "dataplane/internal/dialect", "dataplane/internal/http1",
	"controlplane/internal/catalog", "controlplane/internal/fleet",
}

// impure are rooms inside pure ones that do I/O of their own: programs run by hand, never part of a server.
var impure = []string{"dataplane/internal/analyze/reason/train"}

// forbiddenInPure are the packages that a pure room does not import, each with its reason.
var forbiddenInPure = map[string]string{
	"net":          "no sockets",
	"net/http":     "no HTTP",
	"os":           "no files, no environment",
	"context":      "nothing to wait for",
	"sync":         "one goroutine at a time; who shares a value guards it",
	"log/slog":     "a pure room returns reasons, the shell prints them",
	"math/rand":    "chance is an argument",
	"math/rand/v2": "chance is an argument",
	"crypto/rand":  "chance is an argument",
}

// pooled are the pure rooms that may use sync, because a benchmark shows that a pool pays on the request path; each says so above the line.
var pooled = []string{"dataplane/internal/analyze", "dataplane/internal/dialect", "shared/outcome"}

// tellsTime are the functions of package time that ask the clock or wait.
var tellsTime = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

// owners say which rooms may import a dependency; everybody else goes through them.
var owners = []struct {
	dependency string
	rooms      []string
}{
	{"github.com/nats-io/nats.go", []string{"shared/bus", "controlplane/internal/store", "deploy/allinone"}},
	{"github.com/nats-io/nats-server", []string{"deploy/allinone"}},
	{"github.com/alicebob/miniredis", []string{"deploy/allinone"}},
	{"github.com/redis/go-redis", []string{"dataplane/internal/limit"}},
	{"connectrpc.com/", []string{"controlplane/internal/admin", "deploy/cmd/aimux", "deploy/internal/cli", "proto"}},
	{"go.opentelemetry.io/otel", []string{"shared/telemetry"}},
	{"github.com/prometheus/client_golang", []string{"shared/telemetry"}},
	{"github.com/coreos/go-oidc", []string{"shared/issuer"}},
	{"github.com/go-jose", []string{"shared/issuer"}},
	{"github.com/tetratelabs/wazero", []string{"dataplane/internal/plugin"}},
	{"sigs.k8s.io/yaml", []string{"controlplane/internal/catalog"}},
	{"github.com/fsnotify/fsnotify", []string{"controlplane/internal/store"}},
}

// file is one parsed source file, tests left out.
type file struct {
	dir, path string
	tree      *ast.File
	set       *token.FileSet
}

// imports lists the file's imports.
func (f *file) imports() []string {
	var list []string
	for _, spec := range f.tree.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		list = append(list, name)
	}
	return list
}

// house reads every Go file of the tree that people wrote and that is not a test.
func house(tree fs.FS) ([]*file, error) {
	var files []*file
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "gen" || entry.Name() == "testdata" || entry.Name() == "node_modules" || name != "." && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parsing %q: %w", name, err)
		}
		files = append(files, &file{dir: path.Dir(name), path: name, tree: parsed, set: set})
		return nil
	})
	return files, err
}

// within reports whether dir is one of the rooms or lies inside one.
func within(dir string, rooms []string) bool {
	return slices.ContainsFunc(rooms, func(room string) bool { return dir == room || strings.HasPrefix(dir, room+"/") })
}

// rule checks the whole house and names each break.
type rule struct {
	name  string
	check func([]*file) []string
	// broken is a tree that breaks the rule: the rule must catch it.
	broken fstest.MapFS
}

func source(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

var rules = []rule{
	{"planes meet on the bus", planes, fstest.MapFS{"dataplane/x.go": source("package x\nimport _ \"" + module + "controlplane\"")}},
	{"shared imports no plane", planes, fstest.MapFS{"shared/x.go": source("package x\nimport _ \"" + module + "dataplane\"")}},
	{"proto imports nobody", planes, fstest.MapFS{"proto/x.go": source("package x\nimport _ \"" + module + "shared/fault\"")}},
	{"only e2e and deploy import deploy", planes, fstest.MapFS{"controlplane/x.go": source("package x\nimport _ \"" + module + "deploy/allinone\"")}},
	{"pure rooms do no I/O", pureImports, fstest.MapFS{"shared/route/x.go": source("package route\nimport _ \"net/http\"")}},
	{"pure rooms roll no dice", pureImports, fstest.MapFS{"shared/route/x.go": source("package route\nimport _ \"math/rand/v2\"")}},
	{"pure rooms ask no clock", pureTime, fstest.MapFS{"shared/circuit/x.go": source("package circuit\nimport \"time\"\nvar t = time.Now()")}},
	{"pure rooms ask no renamed clock", pureTime, fstest.MapFS{"shared/circuit/x.go": source("package circuit\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }")}},
	{"one owner per dependency", owned, fstest.MapFS{"dataplane/internal/proxy/x.go": source("package proxy\nimport _ \"github.com/redis/go-redis/v9\"")}},
	{"outbound HTTP leaves through upstream", outbound, fstest.MapFS{"dataplane/internal/proxy/x.go": source("package proxy\nimport \"net/http\"\nvar c = http.Client{}")}},
	{"a dialect knows no other dialect", dialects, fstest.MapFS{"dataplane/internal/dialect/openai/x.go": source("package openai\nimport _ \"" + module + "dataplane/internal/dialect/anthropic\"")}},
	{"upstream knows no dialect", dialects, fstest.MapFS{"dataplane/internal/upstream/x.go": source("package upstream\nimport _ \"" + module + "dataplane/internal/dialect\"")}},
	{"admin touches no fleet", dialects, fstest.MapFS{"controlplane/internal/admin/x.go": source("package admin\nimport _ \"" + module + "controlplane/internal/fleet\"")}},
	{"every package has one doc sentence", docs, fstest.MapFS{"shared/x/x.go": source("package x")}},
	{"the doc sentence names its package", docs, fstest.MapFS{"shared/x/x.go": source("// Something else.\npackage x")}},
	{"a package is documented once", docs, fstest.MapFS{"shared/x/a.go": source("// Package x is.\npackage x"), "shared/x/b.go": source("// Package x is too.\npackage x")}},
	{"nothing registers itself", habits, fstest.MapFS{"shared/x/x.go": source("package x\nfunc init() {}")}},
	{"context carries no data", habits, fstest.MapFS{"shared/x/x.go": source("package x\nimport \"context\"\nvar c = context.WithValue(nil, 1, 2)")}},
	{"no drawers", habits, fstest.MapFS{"shared/util/x.go": source("package util")}},
}

func planes(files []*file) (broken []string) {
	for _, f := range files {
		home, _, _ := strings.Cut(f.dir, "/")
		for _, name := range f.imports() {
			to, ok := strings.CutPrefix(name, module)
			if !ok {
				continue
			}
			to, _, _ = strings.Cut(to, "/")
			allowed := map[string][]string{
				"proto": {"proto"}, "shared": {"proto", "shared"}, "dataplane": {"proto", "shared", "dataplane"},
				"controlplane": {"proto", "shared", "controlplane"},
				"deploy":       {"proto", "shared", "dataplane", "controlplane", "deploy"},
				"e2e":          {"proto", "shared", "dataplane", "controlplane", "deploy", "e2e"},
			}
			if !slices.Contains(allowed[home], to) {
				broken = append(broken, fmt.Sprintf("%s imports %s: %s may import only %v", f.path, name, home, allowed[home]))
			}
		}
	}
	return broken
}

func isPure(dir string) bool { return within(dir, pure) && !within(dir, impure) }

func pureImports(files []*file) (broken []string) {
	for _, f := range files {
		if !isPure(f.dir) {
			continue
		}
		for _, name := range f.imports() {
			reason, forbidden := forbiddenInPure[name]
			if forbidden && (name != "sync" || !within(f.dir, pooled)) {
				broken = append(broken, fmt.Sprintf("%s is in a pure room and imports %s: %s", f.path, name, reason))
			}
		}
	}
	return broken
}

func pureTime(files []*file) (broken []string) {
	for _, f := range files {
		if isPure(f.dir) {
			for _, call := range f.uses("time", tellsTime) {
				broken = append(broken, call+" in a pure room: time is an argument")
			}
		}
	}
	return broken
}

// uses lists where the file uses one of the names of a package, however it is imported.
func (f *file) uses(pkg string, names []string) (found []string) {
	local := ""
	for _, spec := range f.tree.Imports {
		if spec.Path.Value == strconv.Quote(pkg) {
			local = path.Base(pkg)
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(f.tree, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if from, ok := selector.X.(*ast.Ident); ok && from.Name == local && slices.Contains(names, selector.Sel.Name) {
			found = append(found, fmt.Sprintf("%s: %s.%s", f.set.Position(selector.Pos()), local, selector.Sel.Name))
		}
		return true
	})
	return found
}

func owned(files []*file) (broken []string) {
	for _, f := range files {
		for _, name := range f.imports() {
			for _, owner := range owners {
				if strings.HasPrefix(name, owner.dependency) && !within(f.dir, owner.rooms) && !strings.HasPrefix(f.dir, "e2e") && !strings.HasSuffix(f.dir, "test") {
					broken = append(broken, fmt.Sprintf("%s imports %s: that belongs to %v", f.path, name, owner.rooms))
				}
			}
		}
	}
	return broken
}

func outbound(files []*file) (broken []string) {
	for _, f := range files {
		if strings.HasPrefix(f.dir, "dataplane/internal/") && !within(f.dir, []string{"dataplane/internal/upstream"}) {
			for _, use := range f.uses("net/http", []string{"Client", "Transport", "DefaultClient", "DefaultTransport", "Get", "Post", "NewRequest", "NewRequestWithContext"}) {
				broken = append(broken, use+": outbound HTTP belongs to upstream")
			}
		}
	}
	return broken
}

func dialects(files []*file) (broken []string) {
	const root = module + "dataplane/internal/dialect"
	for _, f := range files {
		for _, name := range f.imports() {
			switch {
			case within(f.dir, []string{"dataplane/internal/dialect"}) && f.dir != "dataplane/internal/dialect" &&
				strings.HasPrefix(name, module+"dataplane/") && name != root && name != module+f.dir:
				broken = append(broken, fmt.Sprintf("%s imports %s: a dialect imports only dialect", f.path, name))
			case within(f.dir, []string{"dataplane/internal/upstream"}) && strings.HasPrefix(name, root):
				broken = append(broken, fmt.Sprintf("%s imports %s: upstream moves bytes and knows no dialect", f.path, name))
			case within(f.dir, []string{"controlplane/internal/admin"}) && strings.HasPrefix(name, module+"controlplane/internal/fleet"):
				broken = append(broken, fmt.Sprintf("%s imports %s: admin changes the catalog, and the loop sees it", f.path, name))
			}
		}
	}
	return broken
}

func docs(files []*file) (broken []string) {
	sentences := map[string][]string{} // :: directory → its package comments
	for _, f := range files {
		sentences[f.dir] = append(sentences[f.dir], "")
		if f.tree.Doc == nil {
			continue
		}
		text := f.tree.Doc.Text()
		sentences[f.dir] = append(sentences[f.dir], text)
		begin := "Package " + f.tree.Name.Name + " "
		if f.tree.Name.Name == "main" {
			begin = "Command " + path.Base(f.dir) + " "
		}
		if !strings.HasPrefix(text, begin) {
			broken = append(broken, fmt.Sprintf("%s: the package comment begins %q, not %q", f.path, strings.SplitN(text, "\n", 2)[0], begin))
		}
	}
	for dir, texts := range sentences {
		texts = slices.DeleteFunc(texts, func(s string) bool { return s == "" })
		if len(texts) != 1 {
			broken = append(broken, fmt.Sprintf("%s has %d package comments; it needs exactly one", dir, len(texts)))
		}
	}
	return broken
}

func habits(files []*file) (broken []string) {
	drawers := []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "base", "misc"}
	for _, f := range files {
		if slices.Contains(drawers, path.Base(f.dir)) {
			broken = append(broken, f.dir+" is a drawer, not a room: name it by its noun")
		}
		for _, use := range f.uses("context", []string{"WithValue"}) {
			broken = append(broken, use+": context carries cancellation and trace, never data")
		}
		for _, declared := range f.tree.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil && function.Name.Name == "init" {
				broken = append(broken, f.path+" has an init: nothing registers itself, values are passed")
			}
		}
	}
	return broken
}

// TestHouse holds the rules of who may import whom, of purity, and of the doc sentence.
func TestHouse(t *testing.T) {
	files, err := house(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d files: the walk is broken", len(files))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, broken := range r.check(files) {
				t.Error(broken)
			}
		})
	}
}

// TestRulesCatch breaks each rule on purpose and sees it caught.
func TestRulesCatch(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			files, err := house(r.broken)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.check(files)) == 0 {
				t.Error("the rule did not catch a tree that breaks it")
			}
		})
	}
}

// TestPureRoomsExist keeps the list of pure rooms honest: a room that was renamed would silently escape the rules.
func TestPureRoomsExist(t *testing.T) {
	for _, room := range slices.Concat(pure, pooled) {
		if entries, err := os.ReadDir("../" + room); err != nil || len(entries) == 0 {
			t.Errorf("%s is listed as pure, but there is no such room", room)
		}
	}
}
