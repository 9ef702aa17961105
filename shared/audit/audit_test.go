package audit_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/audit"
)

func chain(n int) []*adminv1.AuditEntry {
	var all []*adminv1.AuditEntry
	var last *adminv1.AuditEntry
	for i := range n {
		last = audit.Next(last, &adminv1.AuditEntry{
			AtUnixMs: int64(1000 * i), Actor: "token:ci", Procedure: "UpdateProvider", Replica: "cp-1", Based: uint64(i),
			Changes: []*adminv1.AuditChange{{Path: "providers.zai.enabled", From: "true", To: "false"}, {Path: "routing.priority", To: "cost"}},
		})
		all = append(all, last)
	}
	return all
}

func check(entries []*adminv1.AuditEntry, last *adminv1.AuditEntry) error {
	var v audit.Verifier
	for _, e := range entries {
		if err := v.Take(e); err != nil {
			return err
		}
	}
	return v.End(last.GetNumber(), last.GetHash())
}

func TestAChainProvesItself(t *testing.T) {
	all := chain(5)
	for _, from := range []int{0, 1, 3} { // an archive may have dropped the oldest
		if err := check(all[from:], all[4]); err != nil {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

func TestWhatWasTouchedIsFound(t *testing.T) {
	touch := map[string]func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry{
		"dropped in the middle": func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry { return append(all[:2], all[3:]...) },
		"dropped at the end":    func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry { return all[:4] },
		"reordered":             func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry { all[1], all[2] = all[2], all[1]; return all },
		"twice":                 func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry { return append(all[:3], all[2:]...) },
		"replaced and hashed again": func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry {
			all[2].Actor = "token:somebody"
			all[2].Hash = audit.Hash(all[2])
			return all
		},
		"all forged from there on": func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry {
			all[2].Actor = "token:somebody"
			all[2].Hash = audit.Hash(all[2])
			for i := 3; i < 5; i++ {
				all[i].Previous = all[i-1].GetHash()
				all[i].Hash = audit.Hash(all[i])
			}
			return all
		},
		"nothing left": func([]*adminv1.AuditEntry) []*adminv1.AuditEntry { return nil },
	}
	// Every field of its own.
	fields := map[string]func(e *adminv1.AuditEntry){
		"time": func(e *adminv1.AuditEntry) { e.AtUnixMs++ }, "actor": func(e *adminv1.AuditEntry) { e.Actor += "x" },
		"procedure": func(e *adminv1.AuditEntry) { e.Procedure = "" }, "replica": func(e *adminv1.AuditEntry) { e.Replica = "cp-2" },
		"based": func(e *adminv1.AuditEntry) { e.Based++ }, "more": func(e *adminv1.AuditEntry) { e.More = 1 },
		"path": func(e *adminv1.AuditEntry) { e.Changes[0].Path = "x" }, "from": func(e *adminv1.AuditEntry) { e.Changes[0].From = "" },
		"to":      func(e *adminv1.AuditEntry) { e.Changes[1].To = "balanced" },
		"moved":   func(e *adminv1.AuditEntry) { e.Actor, e.Procedure = "token:", "ciUpdateProvider" },
		"changes": func(e *adminv1.AuditEntry) { e.Changes = e.GetChanges()[:1] }, "number": func(e *adminv1.AuditEntry) { e.Number = 9 },
	}
	for name, change := range fields {
		touch["another "+name] = func(all []*adminv1.AuditEntry) []*adminv1.AuditEntry { change(all[2]); return all }
	}
	for name, change := range touch {
		all := chain(5)
		last := proto.CloneOf(all[4])
		if err := check(change(all), last); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

func TestEntriesAreBounded(t *testing.T) {
	e := &adminv1.AuditEntry{Actor: strings.Repeat("a", 1000)}
	for i := range 150 {
		e.Changes = append(e.GetChanges(), &adminv1.AuditChange{Path: fmt.Sprint(i), To: strings.Repeat("é", 500)})
	}
	e = audit.Next(nil, e)
	if len(e.GetChanges()) != 100 || e.GetMore() != 50 || proto.Size(e) > 64<<10 {
		t.Errorf("%d changes, %d more, %d bytes", len(e.GetChanges()), e.GetMore(), proto.Size(e))
	}
	if err := check([]*adminv1.AuditEntry{e}, e); err != nil {
		t.Error(err)
	}
}
