package controlplane

import (
	"slices"
	"strconv"
	"strings"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/fault"
)

// sieve lets the records through that a filter wants.
type sieve struct {
	*adminv1.RequestFilter
	text string // in small letters
}

func newSieve(f *adminv1.RequestFilter) sieve { return sieve{f, strings.ToLower(f.GetText())} }

// holds says whether a record meets all that the filter says.
func (s sieve) holds(r *outcomev1.Record) bool {
	return (s.GetCaller() == "" || r.GetCaller() == s.GetCaller()) &&
		(s.GetTeam() == "" || r.GetTeam() == s.GetTeam()) &&
		(s.GetClass() == "" || r.GetClass() == s.GetClass()) &&
		(s.GetRequest() == "" || r.GetRequestId() == s.GetRequest() || r.GetTraceId() == s.GetRequest()) &&
		r.GetDurationMs() >= s.GetSlowerMs() && s.status(r.GetStatus()) && s.went(r) && s.target(r) && s.tells(r)
}

func (s sieve) status(status uint32) bool {
	code := strconv.FormatUint(uint64(status), 10)
	return len(s.GetStatuses()) == 0 || slices.ContainsFunc(s.GetStatuses(), func(want string) bool {
		family, whole := strings.CutSuffix(want, "xx")
		return code == want || whole && len(code) == 3 && strings.HasPrefix(code, family)
	})
}

// went goes by how the request went. A client that left is no failure.
func (s sieve) went(r *outcomev1.Record) bool {
	failed := wrong(r.GetFault())
	troubled := failed || slices.ContainsFunc(r.GetAttempts(), func(a *outcomev1.Attempt) bool { return wrong(a.GetFault()) })
	return (!s.GetFailed() || failed) && (!s.GetTroubled() || troubled)
}

func wrong(name string) bool {
	return name != "" && name != fault.None.String() && name != fault.Canceled.String()
}

// target goes by who was tried, and by which model was asked for or tried.
func (s sieve) target(r *outcomev1.Record) bool {
	tried, model := s.GetProvider() == "", s.model(r.GetRequestedModel())
	for _, a := range r.GetAttempts() {
		tried = tried || a.GetTarget().GetProvider() == s.GetProvider()
		model = model || s.model(a.GetTarget().GetModel())
	}
	return tried && model
}

func (s sieve) model(name string) bool {
	begin, open := strings.CutSuffix(s.GetModel(), "*")
	return s.GetModel() == "" || name == s.GetModel() || open && strings.HasPrefix(name, begin)
}

// tells looks for the text in all that a record says in words.
func (s sieve) tells(r *outcomev1.Record) bool {
	if s.text == "" {
		return true
	}
	in := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), s.text) })
	}
	return in(r.GetRequestId(), r.GetTraceId(), r.GetCaller(), r.GetTeam(), r.GetProtocol(), r.GetRequestedModel(), r.GetClass(), r.GetFault(), r.GetReason(), r.GetNode()) ||
		in(r.GetWarnings()...) || in(r.GetCandidates()...) ||
		slices.ContainsFunc(r.GetPassedOver(), func(p *outcomev1.PassedOver) bool { return in(p.GetTarget(), p.GetReason()) }) ||
		slices.ContainsFunc(r.GetAttempts(), func(a *outcomev1.Attempt) bool {
			return in(a.GetTarget().GetProvider()+"/"+a.GetTarget().GetModel(), a.GetFault(), a.GetDetail())
		})
}
