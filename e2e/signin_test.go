package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSignIn has a person sign in to the dashboard of an aimux that wants tokens: with a wrong one, the right one, and by the printed address.
func TestSignIn(t *testing.T) {
	dir := filepath.Join(root(t), "e2e", "browser")
	if out, err := exec.Command(filepath.Join(dir, "install.sh")).CombinedOutput(); err != nil {
		t.Fatalf("installing the browser: %v\n%s", err, out)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	x := openTarget(t)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	out, err := exec.CommandContext(ctx, "node", filepath.Join(dir, "signin.mjs"), chromium, "http://"+x.admin, x.token).CombinedOutput()
	if said := strings.TrimSpace(string(out)); err != nil || said != "done" {
		t.Errorf("%v: %s", err, said)
	}
}
