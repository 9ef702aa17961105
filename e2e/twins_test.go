package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// TestTwoProcessesUnderOneName: a copied unit file starts a second process as node-1. Both serve; the operator sees both, and why that is wrong, where
// nodes are listed, on the page of either process and in their logs; a revision has converged when both have it; and when one is gone, all is well.
func TestTwoProcessesUnderOneName(t *testing.T) {
	house := open(t, Form{"one of each", func(t testing.TB, catalog map[string]any) *House { return startSized(t, 1, 1, "local", catalog) }}, map[string]any{"a": compatible("openai")})
	port := strings.TrimPrefix(house.Data[0], "http://127.0.0.1:")
	var base int
	if _, err := fmt.Sscan(port, &base); err != nil {
		t.Fatal(err)
	}
	base -= 21
	address := fmt.Sprintf("127.0.0.1:%d", base+25)
	log, err := os.Create(filepath.Join(house.dir, "copy.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	twin := exec.Command(filepath.Join(filepath.Dir(aimux(t)), "aimux-dataplane"), "--id", "node-1", "--nats", fmt.Sprintf("nats://127.0.0.1:%d", base),
		"--listen", address, "--data", filepath.Join(house.dir, "copy"), "--region", "local")
	twin.Env = append(os.Environ(), "AIMUX_CLUSTER_KEY=file:"+filepath.Join(house.dir, "cluster.key"), "AIMUX_HOME="+house.dir)
	twin.Stdout, twin.Stderr = log, log
	if err := twin.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = twin.Process.Kill() // it may have ended by itself
			_ = twin.Wait()
		}
	}
	defer end()
	list := func() []*adminv1.NodeEntry {
		answer, err := house.Nodes(0).ListNodes(t.Context(), connect.NewRequest(&adminv1.ListNodesRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Msg.GetNodes()
	}
	eventually(t, "two processes are listed, with what is wrong", func() error {
		nodes := list()
		if len(nodes) != 2 || !strings.Contains(nodes[0].GetOutlierReason(), "two processes run under its name") || nodes[0].GetHeartbeat().GetAddress() == nodes[1].GetHeartbeat().GetAddress() {
			return fmt.Errorf("listed are %v", nodes)
		}
		return nil
	})
	for _, at := range []string{house.Data[0], "http://" + address} {
		eventually(t, at+" says it too", func() error {
			if page := fetch(t, at+"/health"); !strings.Contains(page, "two processes run under its name") {
				return fmt.Errorf("it says %s", page)
			}
			return nil
		})
		if answer, body := post(t, at+"/v1/chat/completions", `{"model":"text","messages":[{"role":"user","content":"hello"}]}`); answer.StatusCode != http.StatusOK {
			t.Errorf("%s does not serve: %s", at, body)
		}
	}
	answer, err := house.Nodes(0).WaitForRevision(t.Context(), connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: 1, MinNodes: 2}))
	if err != nil {
		t.Errorf("waiting for both: %v, %v", answer, err)
	}
	end()
	eventually(t, "one process is left, and nothing is wrong", func() error {
		if nodes := list(); len(nodes) != 1 || nodes[0].GetOutlier() {
			return fmt.Errorf("listed are %v", nodes)
		}
		return nil
	})
}
