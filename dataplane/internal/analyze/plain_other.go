//go:build !amd64

package analyze

func plainBlocks(b []byte, i int) (end int, escaped bool) { return plainWords(b, i) }
