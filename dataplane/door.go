package dataplane

import (
	"github.com/aimux/aimux/shared/telemetry"
)

// doorReadings are how many callers were turned away and why, and how the issuers stand whose tokens are taken.
func (n *node) doorReadings() {
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_callers_refused_total", Help: "Callers turned away before their request was read, by reason.", Counter: true, Labels: []string{"reason"}, Read: n.door.Refused,
	})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_issuer_keys", Help: "Keys of a trusted issuer that verify tokens; 0 until they have been fetched.", Labels: []string{"issuer"},
		Read: func(give func(float64, ...string)) {
			for _, s := range n.door.Issuers() {
				give(float64(s.Keys), s.Issuer)
			}
		},
	})
	n.metrics.Read(telemetry.Reading{
		Name: "aimux_issuer_up", Help: "1 while the keys of a trusted issuer can be fetched.", Labels: []string{"issuer"},
		Read: func(give func(float64, ...string)) {
			for _, s := range n.door.Issuers() {
				give(oneIf(s.Trouble == "" && !s.Fetched.IsZero()), s.Issuer)
			}
		},
	})
}
