package cli

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
)

// say runs the command line and returns what it printed.
func say(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), args, Street{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

func TestCompletion(t *testing.T) {
	for _, row := range []struct {
		words []string
		want  string // the candidates
	}{
		{[]string{"webh"}, "webhook"},
		{[]string{"webhook", ""}, "set list delete test"},
		{[]string{"webhook", "te"}, "test"},
		{[]string{"tail", "-o", ""}, "text json"},
		{[]string{"tail", "--output", "j"}, "json"},
		{[]string{"tail", "--failed", "--fo"}, "--follow"},
		{[]string{"completion", ""}, "bash zsh fish"},
		{[]string{"nonsense"}, ""},
	} {
		code, out, _ := say(t, append([]string{"complete", "--"}, row.words...)...)
		var got []string
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		if code != 0 || strings.Join(got, " ") != row.want {
			t.Errorf("%v: %d %v, want %s", row.words, code, got, row.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, _ := say(t, "completion", shell)
		if code != 0 || !strings.Contains(script, "aimux") {
			t.Errorf("%s: %d %s", shell, code, script)
		}
		if path, err := exec.LookPath(shell); err == nil {
			check := exec.Command(path, "-n")
			check.Stdin = strings.NewReader(script)
			if said, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %v %s", shell, err, said)
			}
		}
	}
}

// Every command says what it is for, and every flag too.
func TestHelp(t *testing.T) {
	code, out, _ := say(t, "--help")
	if code != 0 {
		t.Fatal(out)
	}
	for _, words := range [][]string{{"tail"}, {"top"}, {"usage"}, {"webhook", "set"}, {"key", "create"}, {"provider", "list"}, {"health"}} {
		code, out, _ := say(t, append(words, "--help")...)
		if code != 0 || !strings.Contains(out, "--output") {
			t.Errorf("%v: %d %s", words, code, out)
		}
	}
	if code, _, said := say(t, "no-such-command"); code != 2 || strings.Count(said, "\n") < 1 {
		t.Errorf("%d %s", code, said)
	}
}

// What others wrote does not steer the terminal.
func TestTailPrintsPlainly(t *testing.T) {
	var out bytes.Buffer
	c := &tailCommand{Attempts: true}
	c.Output = "text"
	hostile := "m\x1b[2J\r\nevil\u202e"
	err := c.print(&out, &outcomev1.Record{RequestId: "req_1", RequestedModel: hostile, Fault: "server_error", Attempts: []*outcomev1.Attempt{
		{Target: &outcomev1.Target{Provider: "p", Model: hostile}, Fault: "server_error", Detail: hostile},
	}})
	if err != nil || strings.ContainsAny(out.String(), "\x1b\r\u202e") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%v %q", err, out.String())
	}
	out.Reset()
	if err := c.print(&out, &outcomev1.Record{
		Attempts:   []*outcomev1.Attempt{{Target: &outcomev1.Target{Provider: "p", Model: "m"}}},
		Candidates: []string{"p/m", "q/m"}, PassedOver: []*outcomev1.PassedOver{{Target: "r/m", Reason: "circuit open" + hostile}},
	}); err != nil || !strings.Contains(out.String(), "1. p/m: ok") || !strings.Contains(out.String(), "next: q/m\n") || !strings.Contains(out.String(), "not r/m: circuit openm") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%v %q", err, out.String())
	}
}
