package admin

import (
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// View is what one replica knows at one moment. It and everything in it is never changed.
type View struct {
	// Revision of the catalog; 0 until it has been read, and then Document and Config are nil.
	Revision uint64
	Document *adminv1.Document
	// Config is what the nodes are told, Health as well; both with their headers.
	Config *tablev1.Config
	Health *tablev1.Health
	// Transitions are all that the replica remembers, oldest first.
	Transitions []*tablev1.Transition
	// Nodes are in the order of their names. Listening says that there may be others, which have not had the time to speak: this replica has just
	// begun, or cannot be reached.
	Nodes     []*adminv1.NodeEntry
	Listening bool
	// Convergence of recent revisions, newest last.
	Convergence []*adminv1.Convergence
	// Usage is in the order of provider and model.
	Usage []*adminv1.Usage
	// Leading says that this replica speaks; Leader is who does.
	Leading bool
	Leader  string
	// Trouble is what an operator should know, a line each: a file that is refused, a bus that is lost.
	Trouble []string
}

// Ready says that the replica has read the catalog.
func (v *View) Ready() bool { return v.Revision > 0 }

// Board holds the newest View.
type Board interface {
	// View returns it, and what is closed when there is a newer one.
	View() (*View, <-chan struct{})
}
