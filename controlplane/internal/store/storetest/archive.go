package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aimux/aimux/controlplane/internal/store"
)

// RunArchive examines a body of the archive. open is as in Run.
func RunArchive(t *testing.T, open func(t *testing.T) func() store.Archive) {
	t.Helper()
	for _, exam := range []struct {
		name string
		run  func(*testing.T, func() store.Archive)
	}{
		{"records come back in their order", recordsInOrder},
		{"an empty archive begins with any number", beginsAnywhere},
		{"a number that is not next is stale", notNext},
		{"of many who append the same number one wins", archiveRace},
	} {
		t.Run(exam.name, func(t *testing.T) { exam.run(t, open(t)) })
	}
}

func fill(t *testing.T, a store.Archive, from, to uint64) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := a.Append(t.Context(), n, fmt.Appendf(nil, "record %d", n)); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, a store.Archive, after uint64, limit int) string {
	t.Helper()
	records, err := a.Read(t.Context(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range records {
		lines = append(lines, strings.TrimPrefix(string(r), "record "))
	}
	return strings.Join(lines, " ")
}

func recordsInOrder(t *testing.T, open func() store.Archive) {
	a, b := open(), open()
	if last, err := a.Last(t.Context()); err != nil || last != 0 || read(t, b, 0, 10) != "" {
		t.Fatalf("an empty archive ends with %d, %v", last, err)
	}
	fill(t, a, 1, 5)
	if last, err := b.Last(t.Context()); err != nil || last != 5 {
		t.Errorf("last %d, %v", last, err)
	}
	for _, row := range []struct {
		after uint64
		limit int
		want  string
	}{{0, 10, "1 2 3 4 5"}, {0, 2, "1 2"}, {2, 2, "3 4"}, {4, 10, "5"}, {5, 10, ""}, {99, 10, ""}} {
		if got := read(t, b, row.after, row.limit); got != row.want {
			t.Errorf("%d behind %d: %q, want %q", row.limit, row.after, got, row.want)
		}
	}
}

func beginsAnywhere(t *testing.T, open func() store.Archive) {
	a := open()
	fill(t, a, 41, 43)
	if last, err := a.Last(t.Context()); err != nil || last != 43 || read(t, a, 0, 10) != "41 42 43" || read(t, a, 42, 10) != "43" {
		t.Errorf("last %d, %v, %q", last, err, read(t, a, 0, 10))
	}
}

func notNext(t *testing.T, open func() store.Archive) {
	a := open()
	fill(t, a, 1, 3)
	for _, n := range []uint64{1, 3, 5} {
		if err := a.Append(t.Context(), n, []byte("x")); !errors.Is(err, store.ErrStale) {
			t.Errorf("%d behind 3: %v, want ErrStale", n, err)
		}
	}
	if got := read(t, a, 0, 10); got != "1 2 3" {
		t.Error(got)
	}
}

func archiveRace(t *testing.T, open func() store.Archive) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var outcomes []string
	for range 4 {
		a := open()
		all.Go(func() {
			for n := uint64(1); n <= 3; n++ {
				err := a.Append(t.Context(), n, fmt.Appendf(nil, "record %d", n))
				mu.Lock()
				outcomes = append(outcomes, fmt.Sprint(n, err == nil))
				mu.Unlock()
				if err != nil && !errors.Is(err, store.ErrStale) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for n := 1; n <= 3; n++ {
		won := 0
		for _, o := range outcomes {
			if o == fmt.Sprint(n, true) {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d was appended %d times", n, won)
		}
	}
	if got := read(t, open(), 0, 10); got != "1 2 3" {
		t.Error(got)
	}
}
