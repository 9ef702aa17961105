package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// browse has a person at a browser run one of the scripts in browser against the dashboard at that address, and makes a test of each job
// that it does. The pictures are kept in .tmp/dashboard, below the script's name.
func browse(t *testing.T, script, address string, words ...string) {
	t.Helper()
	dir := filepath.Join(root(t), "e2e", "browser")
	if out, err := exec.Command(filepath.Join(dir, "install.sh")).CombinedOutput(); err != nil {
		t.Fatalf("installing the browser: %v\n%s", err, out)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	pictures := filepath.Join(root(t), ".tmp", "dashboard", script)
	if err := os.RemoveAll(pictures); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	person := exec.CommandContext(ctx, "node", append([]string{filepath.Join(dir, script+".mjs"), chromium, address, pictures}, words...)...)
	person.Stderr = os.Stderr
	said, err := person.StdoutPipe()
	if err == nil {
		err = person.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	jobs := 0
	for lines := bufio.NewScanner(said); lines.Scan(); jobs++ {
		var done struct {
			Job, Problem string
			MS           int
		}
		if err := json.Unmarshal(lines.Bytes(), &done); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		t.Run(done.Job, func(t *testing.T) {
			t.Logf("%d ms", done.MS)
			if done.Problem != "" {
				t.Error(done.Problem)
			}
		})
	}
	if err := person.Wait(); err != nil || jobs == 0 {
		t.Errorf("the browser did %d jobs: %v", jobs, err)
	}
}
