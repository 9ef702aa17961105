package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// claudeCode is where npm puts the program that runs by itself.
func claudeCode(t *testing.T, dir string) string {
	t.Helper()
	machine := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	path := filepath.Join(dir, "node_modules", "@anthropic-ai", "claude-code-"+runtime.GOOS+"-"+machine, "claude")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("Claude Code is not there after its installation: %v", err)
	}
	return path
}

// agentRow is one thing that a user of the agent relies on.
type agentRow struct {
	name     string
	scenario string // of the provider
	prompt   string
	check    func(r *agentRun) error
}

// agentRun is what the agent did.
type agentRun struct {
	up       *Upstream
	text     string // what it says in the end
	failed   bool
	pieces   int // of text, as they came
	thoughts int // pieces of thinking
	calls    []string
	raw      bytes.Buffer
}

// agentLine is a line of what the agent prints as stream-json.
type agentLine struct {
	Type   string `json:"type"`
	Result string `json:"result"`
	Failed bool   `json:"is_error"`
	Event  struct {
		Delta struct {
			Type string `json:"type"`
		} `json:"delta"`
	} `json:"event"`
	Message struct {
		Content json.RawMessage `json:"content"`
	} `json:"message"`
}

func (r *agentRun) read(line []byte) {
	var l agentLine
	r.raw.Write(append(line, '\n'))
	if json.Unmarshal(line, &l) != nil {
		return
	}
	switch {
	case l.Type == "result":
		r.text, r.failed = l.Result, l.Failed
	case l.Type == "stream_event" && l.Event.Delta.Type == "text_delta":
		r.pieces++
	case l.Type == "stream_event" && l.Event.Delta.Type == "thinking_delta":
		r.thoughts++
	case l.Type == "assistant":
		var blocks []struct{ Type, Name string }
		_ = json.Unmarshal(l.Message.Content, &blocks)
		for _, b := range blocks {
			if b.Type == "tool_use" {
				r.calls = append(r.calls, b.Name)
			}
		}
	}
}

func says(words ...string) func(*agentRun) error {
	return func(r *agentRun) error {
		for _, w := range words {
			if r.failed || !strings.Contains(r.text, w) {
				return fmt.Errorf("want it to say %q", w)
			}
		}
		return nil
	}
}

// complains wants the agent to give up with these words.
func complains(words string) func(*agentRun) error {
	return func(r *agentRun) error {
		if !r.failed || !strings.Contains(r.text, words) {
			return fmt.Errorf("want it to fail and to show %q", words)
		}
		return nil
	}
}

// again wants the agent to get its answer in the end, from the second request.
func again(r *agentRun) error {
	if n := len(r.up.Received()); n != 2 {
		return fmt.Errorf("%d requests reached the provider, want 2", n)
	}
	return says("You said")(r)
}

var agentRows = []agentRow{
	{"text", "text", "Good morning to you.", says("You said", "Good morning")},
	{"stream", "say=one two three four five six", "Count.", func(r *agentRun) error {
		if r.text != "one two three four five six" || r.pieces < 4 {
			return errors.New("want the words one by one")
		}
		return nil
	}},
	{"tool", "agent", "Run the command and tell me what it prints.", says("The tool answered: aimux")},
	{"parallel tools", "agent+calls=2", "Run the commands and tell me what they print.", func(r *agentRun) error {
		if !slices.Equal(r.calls, []string{"Bash", "Bash"}) {
			return errors.New("want two calls of Bash")
		}
		return says("The tool answered: aimux", "aimux 2", "; ")(r) // in the order in which they ended
	}},
	{"image", "agent+image", "Use Read on IMAGE and tell me what it shows.", says("1 images", "image/png")},
	{"thinking", "thinking", "Think.", func(r *agentRun) error {
		if r.thoughts == 0 {
			return errors.New("want thinking")
		}
		return says("You said")(r)
	}},
	{"thinking before a tool", "agent+thinking", "Run the command and tell me what it prints.", says("The tool answered: aimux")},
	{"bad request", "status=400&message=no such thing", "Hi.", complains("400 no such thing")},
	{"prompt too long", "status=400&message=the maximum context length is 200000 tokens, and you asked for 250000", "Hi.", complains("~250000 tokens (limit 200000)")},
	{"key refused", "status=401", "Hi.", complains("502")},
	{"no money", "status=402", "Hi.", complains("429")},
	{"no such model", "status=404", "Hi.", complains("issue with the selected model")},
	{"too large", "status=413", "Hi.", complains("Request too large")},
	{"rate limit", "status=429&retry-after=1&times=1", "Hi.", again},
	{"server error", "status=500&times=1", "Hi.", again},
	{"overload", "status=529&times=1", "Hi.", again},
	{"overload that lasts", "status=529", "Hi.", complains("529")},
	{"broken stream", "cut&times=1", "Hi.", again},
	{"error in a stream", "error-mid-stream&times=1", "Hi.", again},
	{"broken for good", "cut", "Hi.", complains("502")},
	{"refusal", "refusal", "Hi.", complains("safeguards flagged this message")},
	{"cancel", "tokens=2000&token=50ms", "Hi.", func(r *agentRun) error {
		if r.pieces == 0 || r.text != "" {
			return errors.New("want to have left in the middle of the answer")
		}
		return nil
	}},
}

// TestClaudeCode runs the agent itself, offline, over both kinds of upstream: it asks, is told to call tools, runs them, shows errors,
// comes again, and is stopped with Ctrl-C.
func TestClaudeCode(t *testing.T) {
	claude := claudeCode(t, clientsInstalled(t))
	for _, wire := range []string{"anthropic", "openai"} {
		t.Run(wire+" upstream", func(t *testing.T) {
			for _, row := range agentRows {
				t.Run(row.name, func(t *testing.T) {
					settings := compatible(wire)
					settings["models"] = []any{map[string]any{"id": "any", "serves": []any{"claude-*"}, "context_window": 1000000, "max_output_tokens": 128000}}
					settings["recorded"] = 100
					house := open(t, Forms[0], map[string]any{"up": settings})
					r := &agentRun{up: house.Upstream["up"]}
					if err := r.up.Behave(row.scenario); err != nil {
						t.Fatal(err)
					}
					r.run(t, claude, house.Data[0], &row)
					if err := row.check(r); err != nil {
						t.Errorf("%v, got %q after %d requests\n%s", err, r.text, len(r.up.Received()), r.raw.String())
					}
					eventually(t, "an agent that left is noticed upstream", func() error {
						if n := r.up.Stats().InFlight; n != 0 {
							return fmt.Errorf("%d requests are still in flight", n)
						}
						return nil
					})
				})
			}
		})
	}
}

// onePixel is a PNG.
const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// run lets the agent answer the row's prompt. One that is to be left is interrupted at its first words.
func (r *agentRun) run(t *testing.T, claude, base string, row *agentRow) {
	t.Helper()
	home := t.TempDir()
	image := filepath.Join(home, "pixel.png")
	pixel, err := base64.StdEncoding.DecodeString(onePixel)
	if err == nil {
		err = os.WriteFile(image, pixel, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	command := exec.CommandContext(ctx, claude, "-p", strings.ReplaceAll(row.prompt, "IMAGE", image), "--allowedTools", "Bash Read",
		"--output-format", "stream-json", "--include-partial-messages", "--verbose")
	command.Dir = home
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TERM=dumb", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "CLAUDE_CODE_MAX_RETRIES=1",
		"ANTHROPIC_BASE_URL=" + base + "/anthropic", "ANTHROPIC_AUTH_TOKEN=any",
	}
	command.WaitDelay = time.Second
	var complaints bytes.Buffer // not raw, which is written meanwhile
	command.Stderr = &complaints
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		r.read(lines.Bytes())
		if row.name == "cancel" && r.pieces == 1 {
			_ = command.Process.Signal(os.Interrupt)
		}
	}
	_ = command.Wait() // an agent that complains ends with 1
	r.raw.Write(complaints.Bytes())
}
