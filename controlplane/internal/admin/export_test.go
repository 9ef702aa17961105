package admin

import (
	"maps"
	"slices"
)

// Rows are the procedures that have a row.
func Rows() []string { return slices.Sorted(maps.Keys(rows)) }
