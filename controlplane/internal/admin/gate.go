package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
)

// gate lets those through who may have what they ask for, and of them no more than may be answered at once. It is the one place where callers are
// authenticated before their call, and nothing of a stranger's body is read. Those who have shown who they are have room of their own, so that
// strangers cannot take it.
func (s *service) gate(next http.Handler) http.Handler {
	var calls, strangers atomic.Int64
	var wrong guesses
	told := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := s.admit(r.Context(), r.URL.Path, r.Header)
		if caller.Role == Nobody && r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(strangersTimeout)) // a connection without deadlines has none to miss
		}
		if err != nil {
			if isGuess(err, r) && wrong.over(r.RemoteAddr, time.Now()) {
				err = s.guessing(r.RemoteAddr)
				w.Header().Set("Retry-After", "1")
			}
			refuseTo(told, w, r, err)
			return
		}
		running, most := &strangers, int64(strangersMax)
		if caller.Role > Nobody {
			running, most = &calls, callsMax
		}
		defer running.Add(-1)
		if running.Add(1) > most {
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("%d calls are being answered already, which is the limit", most), http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseTo tells a caller why in the words of the protocol that he speaks.
func refuseTo(told *connect.ErrorWriter, w http.ResponseWriter, r *http.Request, err error) {
	if told.IsSupported(r) {
		_ = told.Write(w, r, coded(err)) // who has left needs no answer
		return
	}
	status := http.StatusUnauthorized
	if refused, ok := errors.AsType[*Refused](err); ok {
		switch refused.Code {
		case connect.CodeUnavailable:
			status = http.StatusServiceUnavailable
		case connect.CodePermissionDenied:
			status = http.StatusForbidden
		case connect.CodeNotFound:
			status = http.StatusNotFound
		case connect.CodeResourceExhausted:
			status = http.StatusTooManyRequests
		}
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aimux"`)
	}
	http.Error(w, err.Error(), status)
}

// isGuess reports a token that was shown and is none.
func isGuess(err error, r *http.Request) bool {
	refused, ok := errors.AsType[*Refused](err)
	return ok && refused.Code == connect.CodeUnauthenticated && r.Header.Get("Authorization") != ""
}

// guessing says that too many wrong tokens come from an address.
func (s *service) guessing(remote string) error {
	s.deps.Refused("guessing")
	return refuse(connect.CodeResourceExhausted, "too many wrong tokens come from %s", network(remote))
}

// guesses counts wrong tokens by address. Whoever shows a right one is let in however many wrong ones come from there: behind one address may
// stand many, and nobody shall be able to keep others out. A token is nothing that can be guessed; what this bounds is the noise.
type guesses struct {
	mu     sync.Mutex
	places map[netip.Prefix]allowance // guarded by mu
}

// allowance is how many wrong tokens may still come from a place, as of then.
type allowance struct {
	left float64
	at   time.Time
}

const (
	guessesAtOnce = 1000
	guessesPerSec = 50
	placesMax     = 4096
)

// over notes a wrong token and reports that there were too many.
func (g *guesses) over(remote string, now time.Time) bool {
	from := network(remote)
	g.mu.Lock()
	defer g.mu.Unlock()
	a, known := g.places[from]
	switch {
	case known:
		a.left = min(guessesAtOnce, a.left+now.Sub(a.at).Seconds()*guessesPerSec)
	case g.places == nil:
		g.places = map[netip.Prefix]allowance{}
		fallthrough
	default:
		a.left = guessesAtOnce
		g.makeRoom()
	}
	over := a.left < 1
	if !over {
		a.left--
	}
	a.at = now
	g.places[from] = a
	return over
}

// makeRoom forgets some place or other when there are too many; the caller holds mu.
func (g *guesses) makeRoom() {
	for from := range g.places {
		if len(g.places) < placesMax {
			return
		}
		delete(g.places, from)
	}
}

// network is an address as far as it says who somebody is: of IPv6 people have whole networks.
func network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{} // a connection without an address, as in tests
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	from, _ := addr.Prefix(bits) // the bits fit
	return from
}
