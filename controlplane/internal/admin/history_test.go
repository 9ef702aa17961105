package admin

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// TestPagesAreTheWhole: the pages of any size, put together, are all that was asked for, each once and in order, even if newer ones come between.
func TestPagesAreTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*tablev1.Transition
		at := int64(1)
		add := func(n int) {
			for range n {
				at += rapid.Int64Range(0, 2).Draw(t, "later")
				all = append(all, &tablev1.Transition{AtUnixMs: at, Provider: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "provider"), Reason: fmt.Sprint(len(all))})
			}
		}
		add(rapid.IntRange(0, 40).Draw(t, "transitions"))
		ask := &adminv1.ListTransitionsRequest{
			Provider: rapid.SampledFrom([]string{"", "a"}).Draw(t, "wanted"), SinceUnixMs: rapid.Int64Range(0, 10).Draw(t, "since"), UntilUnixMs: rapid.Int64Range(0, 60).Draw(t, "until"),
		}
		var want []*tablev1.Transition
		for _, one := range all {
			if wanted(ask, one) {
				want = append(want, one)
			}
		}
		size := rapid.IntRange(1, 7).Draw(t, "size")
		var got []*tablev1.Transition
		from := place{atMs: 1 << 62}
		for {
			page, next := pageOf(all, ask, from, size)
			if len(page) > size {
				t.Fatalf("a page of %d, at most %d are wanted", len(page), size)
			}
			got = append(page, got...)
			if next == "" {
				break
			}
			if _, err := fmt.Sscanf(next, placeForm, &from.atMs, &from.told); err != nil {
				t.Fatal(err)
			}
			at++ // a later millisecond, as a later step has
			add(rapid.IntRange(0, 3).Draw(t, "newer"))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the pages give %v, want %v", got, want)
		}
	})
}
