package catalog

import (
	"math"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
	"github.com/aimux/aimux/shared/provider"
	"github.com/aimux/aimux/shared/route"
)

// abilities weighs who says what a model can do. The model's own setting comes first. A provider's false holds for all of its
// models. Then comes what the vendor says of the model; a provider's true fills what nobody has said, because a provider with
// vision may still have models without it. What is left is unknown.
func abilities(p *adminv1.Provider, m *adminv1.Model, known *provider.Model) (has, unknown route.Capability) {
	v := verdict{has: known.Has, lacks: known.Lacks}
	v.weigh(route.Thinking, p.SupportsThinking, m.SupportsThinking)
	v.weigh(route.Vision, p.SupportsVision, m.SupportsVision)
	v.weigh(route.Tools, p.SupportsTools, m.SupportsTools)
	v.weigh(route.Streaming, p.SupportsStreaming, m.SupportsStreaming)
	v.weigh(route.PDF, p.SupportsPdf, m.SupportsPdf)
	v.weigh(route.JSONSchema, p.SupportsJsonSchema, m.SupportsJsonSchema)
	v.weigh(route.Prefill, p.SupportsPrefill, m.SupportsPrefill)
	return v.has, route.AllCapabilities &^ (v.has | v.lacks)
}

// verdict is what a model can and cannot do, as far as it has been told.
type verdict struct{ has, lacks route.Capability }

// weigh puts the operator's word on one ability beside what the vendor says.
func (v *verdict) weigh(ability route.Capability, ofProvider, ofModel *bool) {
	said := ofModel
	if said == nil && ofProvider != nil && (!*ofProvider || (v.has|v.lacks)&ability == 0) {
		said = ofProvider
	}
	switch {
	case said == nil:
	case *said:
		v.has, v.lacks = v.has|ability, v.lacks&^ability
	default:
		v.has, v.lacks = v.has&^ability, v.lacks|ability
	}
}

// price takes each component from the model's settings, the provider's or the sheet, in this order; nil means that no price is known.
// A provider that has no price of its own for cached tokens charges them as input.
func price(p *adminv1.Provider, m *adminv1.Model, known *provider.Model) *tablev1.Price {
	input, inputSaid := firstCost(m.CostPerInputToken, p.CostPerInputToken)
	output, outputSaid := firstCost(m.CostPerOutputToken, p.CostPerOutputToken)
	if known.PriceUnknown && !inputSaid && !outputSaid {
		return nil
	}
	// The vendor's price for cached tokens goes with the vendor's price for input.
	read, write := known.Price.CacheRead, known.Price.CacheWrite
	if inputSaid {
		read, write = 0, 0
	} else {
		input = known.Price.Input
	}
	if !outputSaid {
		output = known.Price.Output
	}
	return &tablev1.Price{
		Input: input, Output: output,
		CacheRead:  cachedPrice(read, input, m.CostPerCacheReadToken, p.CostPerCacheReadToken),
		CacheWrite: cachedPrice(write, input, m.CostPerCacheWriteToken, p.CostPerCacheWriteToken),
	}
}

// cachedPrice is the price that is said, or else the vendor's, or else that of input.
func cachedPrice(vendors, input uint64, said ...*float64) uint64 {
	if nanoUSD, ok := firstCost(said...); ok {
		return nanoUSD
	}
	if vendors > 0 {
		return vendors
	}
	return input
}

// firstCost is the first cost that is said, from US dollars to billionths.
func firstCost(costs ...*float64) (nanoUSD uint64, said bool) {
	for _, cost := range costs {
		if cost == nil {
			continue
		}
		if nano := math.Round(*cost * 1e9); nano >= 0 && nano <= costMax*1e9 { // what Validate passes; NaN is not
			return uint64(nano), true
		}
	}
	return 0, false
}
