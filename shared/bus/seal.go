package bus

import (
	"crypto/hmac"
	"time"

	"github.com/aimux/aimux/shared/secret"
)

// Every message ends with a proof that a party of this cluster made it for this subject: what control planes say is signed, since nodes do
// what it says; what nodes say, often and much, has a MAC. The proof is shaped like a protobuf field 15 of bytes. So whoever gets hold of
// the servers can drop messages and delay them, and repeat old ones as far as revisions and sequences let him; he can make none.

// proof is how a kind of message is proved.
type proof uint8

const (
	unproved proof = iota // the bytes bring a proof of their own
	maced
	signed
)

const (
	proofTag = 15<<3 | 2
	macSize  = 32
)

// size is how many bytes the proof takes, without the two before it.
func (p proof) size() int {
	switch p {
	case signed:
		return secret.SignatureSize
	case maced:
		return macSize
	case unproved:
	}
	return 0
}

// seals are the keys of a cluster's messages.
type seals struct {
	signer secret.Signer
	mac    secret.Key
}

func newSeals(cluster secret.Key) seals {
	return seals{signer: secret.NewSigner(cluster, "tables"), mac: cluster.Derive("voices")}
}

// close appends the proof to a message for that subject.
func (s seals) close(p proof, subject string, body []byte) []byte {
	var proof []byte
	switch p {
	case signed:
		proof = s.signer.Sign(subject, body)
	case maced:
		mac := s.mac.MAC(subject + "\x00" + string(body))
		proof = mac[:]
	case unproved:
		return body
	}
	return append(append(body, proofTag, byte(p.size())), proof...)
}

// open takes the proof off a message, if it is one.
func (s seals) open(p proof, subject string, sealed []byte) (body []byte, genuine bool) {
	if p == unproved {
		return sealed, true
	}
	at := len(sealed) - p.size() - 2
	if at < 0 || sealed[at] != proofTag || int(sealed[at+1]) != p.size() {
		return nil, false
	}
	body, proof := sealed[:at:at], sealed[at+2:]
	if p == signed {
		return body, s.signer.Verify(subject, body, proof)
	}
	mac := s.mac.MAC(subject + "\x00" + string(body))
	return body, hmac.Equal(mac[:], proof)
}

// unseal is open for a message that came in: a forged one is counted, and told when the count doubles.
func (b *Bus) unseal(l *lane, subject string, sealed []byte) (body []byte, genuine bool) {
	body, genuine = b.seals.open(l.proof, subject, sealed)
	if !genuine {
		l.lastForged.Store(time.Now().UnixMilli())
		if n := l.forged.Add(1); n&(n-1) == 0 {
			b.cfg.Log.Error("a message was not made with this cluster's key, and was dropped: another key, another version, or a forger", "subject", subject, "dropped", n)
		}
	}
	return body, genuine
}

// ForgedTables is how many tables have come since Connect that no control plane of this cluster made, and when the last did.
func (b *Bus) ForgedTables() (count uint64, last time.Time) {
	var ms int64
	for _, l := range []*lane{b.lanes.config, b.lanes.health} {
		count += l.forged.Load()
		ms = max(ms, l.lastForged.Load())
	}
	return count, time.UnixMilli(ms)
}
