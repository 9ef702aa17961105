package analyze

// plainBlocks walks on from i over ASCII and escapes of two bytes, as long as sixteen bytes are left, and reports where that ends and whether
// there were escapes. Most of a body is such text: taking sixteen bytes at once saves a tenth of the whole analysis.
//
//go:noescape
func plainBlocks(b []byte, i int) (end int, escaped bool)
