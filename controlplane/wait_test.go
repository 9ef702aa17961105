package controlplane_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

// Who waits for a revision while no node is heard is told so, and not before every node has had the time to speak; who waits for two nodes waits for two.
func TestWaitingForNodesThatAreNotThereYet(t *testing.T) {
	h := newHouse(t)
	began := time.Now()
	cp := h.controlPlane("cp-1", nil)
	revision := create(t, cp, "swift", provider(50))
	wait := func(ctx context.Context, nodes uint32) (*adminv1.WaitForRevisionResponse, error) {
		answer, err := cp.nodes.WaitForRevision(ctx, connect.NewRequest(&adminv1.WaitForRevisionRequest{Revision: revision, MinNodes: nodes}))
		if err != nil {
			return nil, err
		}
		return answer.Msg, nil
	}
	answer, err := wait(t.Context(), 0)
	if err != nil || !strings.Contains(answer.GetNote(), "no node is heard") || answer.GetConvergence().GetNodes() != 0 {
		t.Fatalf("with no node: %v, %v", answer, err)
	}
	if time.Since(began) < time.Second {
		t.Error("a control plane that has just begun says that there is no node")
	}
	short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	if answer, err := wait(short, 1); err == nil {
		t.Errorf("of one node at least that is not there: %v", answer)
	}
	h.node("node-1", nil)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answer, err = wait(t.Context(), 2)
	}()
	h.node("node-2", nil)
	if <-answered; err != nil || answer.GetConvergence().GetAcked() != 2 || answer.GetNote() != "" {
		t.Errorf("of two nodes: %v, %v", answer, err)
	}
}
