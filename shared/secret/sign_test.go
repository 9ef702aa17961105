package secret_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aimux/aimux/shared/secret"
)

func TestSignaturesHoldWhereTheyWereMade(t *testing.T) {
	key := secret.NewKey([secret.KeySize]byte{1})
	signer, message := secret.NewSigner(key, "tables"), []byte("the table")
	signature := signer.Sign("here", message)
	damaged := append([]byte(nil), signature...)
	damaged[5] ^= 1
	for name, row := range map[string]struct {
		by        secret.Signer
		place     string
		message   string
		signature []byte
		genuine   bool
	}{
		"as it was signed":       {signer, "here", "the table", signature, true},
		"by another of the kind": {secret.NewSigner(key, "tables"), "here", "the table", signature, true},
		"another message":        {signer, "here", "the tablf", signature, false},
		"another place":          {signer, "there", "the table", signature, false},
		"a place that is longer": {signer, "here\x00the ", "table", signature, false},
		"another purpose":        {secret.NewSigner(key, "other"), "here", "the table", signature, false},
		"another cluster":        {secret.NewSigner(secret.NewKey([secret.KeySize]byte{2}), "tables"), "here", "the table", signature, false},
		"damaged":                {signer, "here", "the table", damaged, false},
		"cut":                    {signer, "here", "the table", signature[:63], false},
		"none":                   {signer, "here", "the table", nil, false},
		"nobody":                 {secret.Signer{}, "here", "the table", signature, false},
		"nobody by nobody":       {secret.NewSigner(secret.Key{}, "tables"), "here", "the table", secret.Signer{}.Sign("here", message), false},
	} {
		if got := row.by.Verify(row.place, []byte(row.message), row.signature); got != row.genuine {
			t.Errorf("%s: %v", name, got)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", signer, signer, signer); strings.Contains(text, "1 0 0") {
		t.Error(text)
	}
}

func BenchmarkSign(b *testing.B) {
	signer, table := secret.NewSigner(secret.NewKey([secret.KeySize]byte{1}), "tables"), make([]byte, 8<<10)
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			signer.Sign("here", table)
		}
	})
	signature := signer.Sign("here", table)
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if !signer.Verify("here", table, signature) {
				b.Fatal("not genuine")
			}
		}
	})
}
