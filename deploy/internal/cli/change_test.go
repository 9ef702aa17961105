package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

func TestEdits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routing.json")
	for _, row := range []struct {
		file     string // its text
		settings []string
		want     string // the priority and hedge share, or the error's words
	}{
		{"", []string{"priority=cost"}, "cost 0.2"},
		{"", []string{"priority=cost", "hedge_share="}, "cost 0"},
		{`{"hedge_share":0.5}`, nil, " 0.5"},
		{"", []string{"priorty=cost"}, `routing has no setting "priorty"; did you mean priority?`},
		{"", []string{"hedge=0.1"}, "did you mean hedge_share?"},
		{"", []string{"colour=red"}, `routing has no setting "colour"`},
		{"", []string{"hedge_share=much"}, `setting "hedge_share" does not take much`},
		{"", []string{"priority"}, "not of the form name=value"},
		{"", nil, "routing set takes either name=value settings or -f FILE"},
		{`{"hedge_share":"much"}`, nil, file},
		{`{"hedge_share":"much"}`, nil, "hedgeShare"},
		{`{"colour":1}`, nil, `"colour"`},
		{"{", nil, file},
	} {
		e := edits{Settings: row.settings}
		if row.file != "" {
			e.File = file
			if err := os.WriteFile(file, []byte(row.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		routing := &adminv1.Routing{HedgeShare: new(0.2)}
		err := e.over(routing, "routing", Street{})
		got := routing.GetPriority() + " " + amount(routing.GetHedgeShare())
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, row.want) || err == nil && got != row.want {
			t.Errorf("%q %v: %s, want %s", row.file, row.settings, got, row.want)
		}
	}
}
