package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// nodeClients are the JavaScript clients, by the names that clients/ask.mjs knows.
var nodeClients = []string{"@anthropic-ai/sdk", "openai", "@ai-sdk/anthropic", "@ai-sdk/openai", "@ai-sdk/openai-compatible"}

// job is one question to one client, and reply what the client understood: both as clients/ask.mjs has them.
type job struct {
	Client string `json:"client"`
	Base   string `json:"base"`
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	Task   string `json:"task"`
	Key    string `json:"key,omitempty"` // the API key; none is any
}

type reply struct {
	Text     string      `json:"text"`
	Thinking string      `json:"thinking"`
	Stop     string      `json:"stop"`
	Calls    []replyCall `json:"calls"`
	Output   int         `json:"output"`
	Error    *replyError `json:"error"`
}

type replyCall struct {
	Name  string         `json:"name"`
	Input map[string]any `json:"input"`
}

type replyError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// clientsInstalled installs the pinned clients, once, and Node where it is missing.
func clientsInstalled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(root(t), "e2e", "clients")
	command := exec.Command(filepath.Join(dir, "install.sh"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("installing the clients: %v\n%s", err, out)
	}
	return dir
}

// askMany puts the jobs to one Node process, in order.
func askMany(t *testing.T, dir string, jobs []job) []reply {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "ask.mjs"))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	encoder := json.NewEncoder(stdin)
	for _, one := range jobs {
		if err := encoder.Encode(one); err != nil {
			t.Fatal(err)
		}
	}
	stdin.Close()
	var replies []reply
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var one reply
		if err != nil || json.Unmarshal(line, &one) != nil {
			t.Fatalf("reading the clients' answers: %v: %s", err, line)
		}
		replies = append(replies, one)
	}
	if err := command.Wait(); err != nil || len(replies) != len(jobs) {
		t.Fatalf("the clients answered %d of %d jobs: %v", len(replies), len(jobs), err)
	}
	return replies
}

// expectation is one row of what users of a client rely on.
type expectation struct {
	model, task string
	streamOnly  bool
	check       func(r reply, client string) error
}

var wrong = fmt.Errorf

// expectations hold for every client over every upstream.
var expectations = []expectation{
	{"text", "text", false, func(r reply, _ string) error {
		if r.Error != nil || !strings.Contains(r.Text, "Oslo") || r.Output == 0 || !slices.Contains([]string{"end_turn", "stop"}, r.Stop) {
			return wrong("want a whole text with usage")
		}
		return nil
	}},
	{"tool", "tool", false, func(r reply, _ string) error {
		if r.Error != nil || len(r.Calls) != 1 || r.Calls[0].Name != "get_weather" || r.Calls[0].Input["city"] == nil {
			return wrong("want one call of get_weather with a city")
		}
		return nil
	}},
	{"tools-parallel", "tool", false, func(r reply, _ string) error {
		if r.Error != nil || len(r.Calls) < 2 || r.Calls[1].Input["city"] == nil {
			return wrong("want two calls, each with a city")
		}
		return nil
	}},
	{"agent", "result", false, func(r reply, _ string) error {
		if r.Error != nil || !strings.Contains(r.Text, "4 degrees") {
			return wrong("want the tool's result quoted")
		}
		return nil
	}},
	{"image", "image", false, func(r reply, _ string) error {
		if r.Error != nil || !strings.Contains(strings.ToLower(r.Text), "png") {
			return wrong("want the image acknowledged")
		}
		return nil
	}},
	{"citations", "text", false, func(r reply, _ string) error {
		if r.Error != nil || r.Text == "" {
			return wrong("want the text that cites")
		}
		return nil
	}},
	{"thinking", "text", false, func(r reply, client string) error {
		shows := client == "@anthropic-ai/sdk" || client == "@ai-sdk/anthropic" || client == "@ai-sdk/openai-compatible"
		if r.Error != nil || r.Text == "" || shows && r.Thinking == "" {
			return wrong("want thinking and text")
		}
		return nil
	}},
	refusal("status=400", 400), refusal("status=404", 404), refusal("status=413", 413), refusal(limited, 429),
	refusal("status=401", 502), refusal("status=500", 500),
	{"status=529", "text", false, func(r reply, client string) error {
		want := 503
		if strings.Contains(client, "anthropic") {
			want = 529
		}
		// An error inside a stream that has begun has no status; nothing has begun here.
		if r.Error == nil || r.Error.Status != want {
			return wrong("want an API error of status %d", want)
		}
		return nil
	}},
	{"cut", "text", false, func(r reply, _ string) error {
		if r.Error == nil {
			return wrong("want an error: the answer broke upstream")
		}
		return nil
	}},
	{"token=20ms&tokens=200", "cancel", true, func(r reply, _ string) error {
		if r.Stop != "canceled" {
			return wrong("want to have left")
		}
		return nil
	}},
}

func refusal(model string, status int) expectation {
	return expectation{model, "text", false, func(r reply, _ string) error {
		if r.Error == nil || r.Error.Status != status {
			return wrong("want an API error of status %d", status)
		}
		return nil
	}}
}

// TestNodeClients has every JavaScript client go through every expectation, over both kinds of upstream, streaming and not.
func TestNodeClients(t *testing.T) {
	dir := clientsInstalled(t)
	// Refusing a key takes the provider's only one out of use; each such answer has a provider of its own.
	alone := []string{limited, "status=401", "status=529"}
	models := slices.Clone(alone)
	for _, row := range expectations {
		if !slices.Contains(models, row.model) && row.model != "text" {
			models = append(models, row.model)
		}
	}
	for _, wire := range []string{"anthropic", "openai"} {
		t.Run(wire+" upstream", func(t *testing.T) {
			providers := map[string]any{"up": compatible(wire, models[len(alone):]...)}
			for _, scenario := range alone {
				maps.Copy(providers, apart(wire, scenario, 2*len(nodeClients)))
			}
			house := open(t, Forms[0], providers)
			var jobs []job
			var rows []expectation
			for _, row := range expectations {
				for i, client := range nodeClients {
					for j, stream := range []bool{true, false} {
						model := row.model
						if slices.Contains(alone, model) {
							model = apartID(model, 2*i+j) + "/" + model
						}
						if stream || !row.streamOnly {
							jobs = append(jobs, job{client, house.Data[0], model, stream, row.task, ""})
							rows = append(rows, row)
						}
					}
				}
			}
			for i, got := range askMany(t, dir, jobs) {
				if err := rows[i].check(got, jobs[i].Client); err != nil {
					text, _ := json.Marshal(got)
					t.Errorf("%s, stream %v, %s, %s: %v, got %s", jobs[i].Client, jobs[i].Stream, jobs[i].Model, jobs[i].Task, err, text)
				}
			}
			eventually(t, "clients that left are noticed upstream", func() error {
				if n := house.Upstream["up"].Stats().InFlight; n != 0 {
					return fmt.Errorf("%d requests are still in flight", n)
				}
				return nil
			})
		})
	}
}
