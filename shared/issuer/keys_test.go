package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"testing"
)

// Of what an issuer publishes only keys that can be trusted to verify are taken, and the others do no harm.
func TestReadKeys(t *testing.T) {
	public := func(bits int, more string) string {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return fmt.Sprintf(`{"kty":"RSA","kid":"%d","n":%q,"e":%q%s}`, bits, encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes()), more)
	}
	good := public(2048, "")
	for name, row := range map[string]struct {
		keys string
		want int
	}{
		"good":               {good, 1},
		"too short":          {public(1024, "") + "," + good, 1},
		"only too short":     {public(1024, ""), 0},
		"for encryption":     {public(2048, `,"use":"enc"`) + "," + good, 1},
		"a secret":           {`{"kty":"oct","k":"AAAA"},` + good, 1},
		"a kind of tomorrow": {`{"kty":"lattice"},3,null,` + good, 1},
		"nothing":            {"", 0},
	} {
		set, err := readKeys([]byte(`{"keys":[` + row.keys + `]}`))
		if set.len() != row.want || (err == nil) != (row.want > 0) {
			t.Errorf("%s: %d keys, %v", name, set.len(), err)
		}
	}
	key := set(t, good)
	for said, want := range map[glimpse]int{{algorithm: "RS256", key: "2048"}: 1, {algorithm: "RS256"}: 1, {algorithm: "RS256", key: "other"}: 0} {
		if got := key.find(said); len(got) != want {
			t.Errorf("%+v: %d keys", said, len(got))
		}
	}
}

func set(t *testing.T, keys string) *keySet {
	t.Helper()
	s, err := readKeys([]byte(`{"keys":[` + keys + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
