package identity_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/secret"
)

func cluster(b byte) secret.Key { return secret.NewKey([secret.KeySize]byte{b}) }

// A key reads as it was made, and nothing else reads as one.
func TestReading(t *testing.T) {
	random := [identity.RandomSize]byte(bytes.Repeat([]byte{0xA5}, identity.RandomSize))
	key := identity.Mint(identity.Client, "ci-2", random).Reveal()
	if want := "aimux_ci-2_uws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuwsq"; key != want {
		t.Fatalf("%s, want %s: keys in use would not be known any more", key, want)
	}
	admin := identity.Mint(identity.Admin, "ci-2", random).Reveal()
	for text, want := range map[string]string{
		key: "ci-2", admin: "", "": "", "aimux_": "", "aimux_ci-2": "", "aimux_ci-2_": "",
		strings.ToUpper(key): "", key + "a": "", key[:len(key)-1]: "", " " + key: "", key + " ": "",
		strings.Replace(key, "ci-2", "", 1): "", strings.Replace(key, "ci-2", "-", 1): "", strings.Replace(key, "ci-2", "a_b", 1): "",
		strings.Replace(key, "ci-2", "Ci", 1): "", strings.Replace(key, "ci-2", strings.Repeat("a", 64), 1): "",
		strings.Replace(key, "ci-2", strings.Repeat("a", 63), 1): strings.Repeat("a", 63), strings.Replace(key, "u", "1", 1): "aim1x",
		"sk-ant-api03-" + strings.Repeat("x", 80): "", key[:len(key)-1] + "é": "", "aimux_ci-2_" + strings.Repeat("\x00", 52): "",
	} {
		if want == "aim1x" {
			want = "" // not even the prefix
		}
		if id, ok := identity.Parse(identity.Client, text); id != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, id, ok, want)
		}
	}
	if id, ok := identity.Parse(identity.Admin, admin); !ok || id != "ci-2" {
		t.Errorf("admin: %q", id)
	}
	if identity.Claims(identity.Client, admin) || !identity.Claims(identity.Client, "aimux_x") || identity.Claims(identity.Admin, key) {
		t.Error("one kind passes for another")
	}
	if id := identity.NewID([identity.IDSize]byte{1, 2, 3, 4, 5}); !identity.ValidID(id) || len(id) != 8 {
		t.Errorf("new id %q", id)
	}
}

// Only the whole key, of that kind, under that cluster's key, proves itself.
func TestProof(t *testing.T) {
	h := identity.NewHasher(cluster(1))
	key := identity.Mint(identity.Client, "a", [identity.RandomSize]byte{1})
	hash := h.Hash(key)
	if len(hash) != identity.HashSize || strings.Contains(string(hash), "aimux") {
		t.Fatalf("hash %x", hash)
	}
	other := identity.Mint(identity.Client, "a", [identity.RandomSize]byte{2})
	for name, row := range map[string]struct {
		hasher identity.Hasher
		text   string
		hash   []byte
		want   bool
	}{
		"itself":                {h, key.Reveal(), hash, true},
		"another random":        {h, other.Reveal(), hash, false},
		"another id":            {h, strings.Replace(key.Reveal(), "_a_", "_b_", 1), hash, false},
		"of another kind":       {h, identity.Mint(identity.Admin, "a", [identity.RandomSize]byte{1}).Reveal(), hash, false},
		"in another cluster":    {identity.NewHasher(cluster(2)), key.Reveal(), hash, false},
		"no hash":               {h, key.Reveal(), nil, false},
		"part of a hash":        {h, key.Reveal(), hash[:8], false},
		"the decoy's text":      {h, "nobody's", nil, false},
		"without a cluster key": {identity.NewHasher(secret.Key{}), key.Reveal(), make([]byte, identity.HashSize), false},
	} {
		if got := row.hasher.Proves(row.text, row.hash); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if identity.NewHasher(secret.Key{}).Hash(key) != nil {
		t.Error("a hash without a cluster key")
	}
}

// Knowing a key and turning it away, whatever is wrong with it, should cost the same: compare the three.
func BenchmarkProves(b *testing.B) {
	h := identity.NewHasher(cluster(1))
	key := identity.Mint(identity.Client, "a", [identity.RandomSize]byte{1})
	hash := h.Hash(key)
	for name, row := range map[string]struct {
		text string
		hash []byte
	}{
		"right":        {key.Reveal(), hash},
		"wrong secret": {identity.Mint(identity.Client, "a", [identity.RandomSize]byte{2}).Reveal(), hash},
		"wrong id":     {identity.Mint(identity.Client, "b", [identity.RandomSize]byte{2}).Reveal(), nil},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.Proves(row.text, row.hash)
			}
		})
	}
}
