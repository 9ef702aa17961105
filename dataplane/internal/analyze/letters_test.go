package analyze

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// What a reader heedless of case would take for one of the formats' keys is refused wherever a format describes an object, and nowhere else.
func TestKeysInOtherLetters(t *testing.T) {
	const refused = "other letters"
	for _, tc := range []struct{ body, reason string }{
		{openAIWith(`"Model":"other"`), refused},
		{openAIWith(`"\u004dodel":"other"`), refused},
		{openAIWith(`"mode\u004C":"other"`), refused},
		{openAIWith(`"TOOLS":[]`), refused},
		{openAIWith(`"Max_Tokens":1000000`), refused},
		{openAIWith(`"max_toKens":1000000`), refused}, // the Kelvin sign
		{openAIWith(`"meſſages":[]`), refused},        // the long s
		{openAIWith(`"Models":["other"]`), refused},
		{talk(oai, `{"role":"user","content":"hi","Content":[{"type":"image_url","image_url":{"url":"http://x/"}}]}`), refused},
		{talk(oai, `{"role":"user","content":"hi","Role":"system"}`), refused},
		{user(oai, `[{"type":"text","text":"hi","Type":"image_url","image_url":{"url":"http://x/"}}]`), refused},
		{anthropicWith(`"Tools":[]`), refused},
		{anthropicWith(`"Thinking":{"type":"enabled"}`), refused},
		{anthropicWith(`"enableThinking":true,"X":1,"дух":2,"` + strings.Repeat("MODEL", 20) + `":3`), ""},
		{openAIWith(`"extra_body":{"Model":"x"},"metadata":{"User":"x"}`), ""},
		{openAIWith(`"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"ID":{},"id":{},"Model":{}}}}}]`), ""},
		{anthropicWith(`"tools":[{"name":"f","input_schema":{"Type":"object","type":"object"}}]`), ""},
		{talk(ant, `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"Model":"x","model":"y"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"x"}]}`), ""},
	} {
		p := oai
		if strings.Contains(tc.body, "claude") {
			p = ant
		}
		var out Result
		problem := Body(p, []byte(tc.body), nil, nil, &out)
		if (problem == nil) != (tc.reason == "") || problem != nil && !strings.Contains(problem.Reason, tc.reason) {
			t.Errorf("%s: %v, want %q", tc.body, problem, tc.reason)
		}
	}
}

// Every key that a reader knows is in formatKeys: the readers are looked at as they are written.
func TestAllKeysOfTheFormatsAreKnown(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	note := func(e ast.Expr, file string) {
		text, ok := e.(*ast.BasicLit)
		if !ok {
			return
		}
		if key, err := strconv.Unquote(text.Value); err == nil && key != "" {
			found++
			if !formatKeys[key] {
				t.Errorf("%s reads %q, which formatKeys does not hold", file, key)
			}
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SwitchStmt:
				for _, clause := range n.Body.List {
					for _, e := range clause.(*ast.CaseClause).List {
						if ofKey(n.Tag) {
							note(e, file)
						}
					}
				}
			case *ast.BinaryExpr:
				if ofKey(n.X) {
					note(n.Y, file)
				}
			}
			return true
		})
	}
	if found < 80 {
		t.Errorf("only %d keys were found in the readers", found)
	}
}

// ofKey recognises string(key) and string(o.key).
func ofKey(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return false
	}
	if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "string" {
		return false
	}
	switch arg := call.Args[0].(type) {
	case *ast.Ident:
		return arg.Name == "key"
	case *ast.SelectorExpr:
		return arg.Sel.Name == "key"
	}
	return false
}
