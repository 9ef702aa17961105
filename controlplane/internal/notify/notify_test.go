package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/notify"
	"github.com/aimux/aimux/shared/secret"
)

// receiver is somebody's end of a webhook: what it is told goes into heard, and what it answers comes from answers, 204 when there is none.
type receiver struct {
	*httptest.Server
	heard   chan told
	answers chan int
}

type told struct {
	head http.Header
	body []byte
}

func listen(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{heard: make(chan told, 1000), answers: make(chan int, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		r.heard <- told{request.Header.Clone(), body}
		select {
		case code := <-r.answers:
			w.WriteHeader(code)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// start runs a Notifier with these webhooks until the test ends.
func start(t *testing.T, hooks ...catalog.Hook) *notify.Notifier {
	t.Helper()
	n := notify.New(notify.Deps{Version: "test", Log: slog.New(slog.DiscardHandler), FirstPause: time.Millisecond})
	n.Set(hooks)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return n
}

func hook(name, url string, events ...string) catalog.Hook {
	return catalog.Hook{Name: name, URL: url, Secret: secret.New("a shared secret"), Events: events, AllowPrivate: true}
}

// next is what is told next.
func (r *receiver) next(t *testing.T) told {
	t.Helper()
	select {
	case one := <-r.heard:
		return one
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was told")
	}
	return told{}
}

// What is told is signed over the time and the body, and tried again under the same id.
func TestToldSignedAndAgain(t *testing.T) {
	r := listen(t)
	r.answers <- http.StatusInternalServerError
	r.answers <- http.StatusTooManyRequests
	n := start(t, hook("pager", r.URL))
	n.Tell(notify.Event{ID: "evt_1", Type: "alert", At: time.Now(), Text: "look"})
	for range 3 {
		one := r.next(t)
		var event notify.Event
		if err := json.Unmarshal(one.body, &event); err != nil || event.ID != "evt_1" || one.head.Get("Aimux-Event-Id") != "evt_1" {
			t.Fatalf("%s: %v", one.body, err)
		}
		if want := "v1=" + notify.Sign("a shared secret", one.head.Get("Aimux-Timestamp"), one.body); one.head.Get("Aimux-Signature") != want {
			t.Errorf("signature %s, want %s", one.head.Get("Aimux-Signature"), want)
		}
	}
	eventually(t, n, "pager", func(s notify.State) bool {
		return s.Fates[notify.Delivered] == 1 && s.Dropped() == 0 && s.LastError == ""
	})
}

// Who refuses is not asked again, who fails is owed the event and hears what is new meanwhile, and neither holds up anybody else.
func TestOneDoesNotHoldUpTheOther(t *testing.T) {
	refuses, broken, well := listen(t), listen(t), listen(t)
	refuses.answers <- http.StatusGone
	n := start(t, hook("refuses", refuses.URL), hook("broken", broken.URL), hook("well", well.URL))
	for range 5 {
		broken.answers <- http.StatusBadGateway
	}
	n.Tell(notify.Event{ID: "evt_1", Seq: 1, Type: "transition", At: time.Now()})
	well.next(t)
	eventually(t, n, "refuses", func(s notify.State) bool { return s.Fates[notify.Refused] == 1 && strings.Contains(s.LastError, "410") })
	eventually(t, n, "broken", func(s notify.State) bool { return s.Fates[notify.Delivered] == 1 })
	if asked := len(refuses.heard); asked != 1 {
		t.Errorf("who refuses was asked %d times", asked)
	}
	if asked := len(broken.heard); asked != 6 {
		t.Errorf("who failed 5 times was asked %d times", asked)
	}
}

// An event that its receiver never takes stands aside: what comes later is told.
func TestPoisonStandsAside(t *testing.T) {
	heard := make(chan string, 100)
	picky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get("Aimux-Event-Id"); id == "poison" {
			w.WriteHeader(http.StatusInternalServerError)
		} else {
			heard <- id
		}
	}))
	defer picky.Close()
	n := start(t, hook("picky", picky.URL))
	n.Tell(notify.Event{ID: "poison", Seq: 1, Type: "alert", At: time.Now()})
	for i := range 20 {
		n.Tell(notify.Event{ID: fmt.Sprint(i), Seq: uint64(2 + i), Type: "alert", At: time.Now()})
	}
	told := map[string]bool{}
	for len(told) < 20 {
		select {
		case id := <-heard:
			told[id] = true
		case <-time.After(10 * time.Second):
			t.Fatalf("only %d of 20 are told", len(told))
		}
	}
	eventually(t, n, "picky", func(s notify.State) bool { return s.Fates[notify.Delivered] == 20 && s.Queued == 1 })
}

// What one Notifier owes another one can take over, and goes on with; what it does not owe any more it does not tell.
func TestDebtsMove(t *testing.T) {
	r := listen(t)
	before := notify.New(notify.Deps{Log: slog.New(slog.DiscardHandler)})
	before.Set([]catalog.Hook{hook("a", r.URL), hook("b", r.URL, "alert")})
	before.Tell(notify.Event{ID: "1", Seq: 1, Type: "transition", At: time.Now()})
	before.Tell(notify.Event{ID: "2", Seq: 2, Type: "alert", At: time.Now()})
	owed := before.Owed()
	before.Owe(nil)
	if left := before.Owed(); len(owed) != 2 || len(owed[1].Webhooks) != 2 || len(left) != 0 {
		t.Fatalf("owed %+v, then %+v", owed, left)
	}
	after := start(t, hook("a", r.URL), hook("b", r.URL, "alert"))
	after.Owe(owed)
	eventually(t, after, "a", func(s notify.State) bool { return s.Fates[notify.Delivered] == 2 })
	eventually(t, after, "b", func(s notify.State) bool { return s.Fates[notify.Delivered] == 1 })
}

// Only what was asked for is told, who is owed too much hears the newest and the rest is counted, and a webhook that is deleted hears no more.
func TestBounds(t *testing.T) {
	r := listen(t)
	n := notify.New(notify.Deps{Version: "test", Log: slog.New(slog.DiscardHandler)})
	n.Set([]catalog.Hook{hook("alerts", r.URL, "alert")})
	n.Tell(notify.Event{ID: "evt_0", Type: "transition", At: time.Now()})
	for i := range 300 { // nobody runs, so nothing leaves the queue
		n.Tell(notify.Event{ID: fmt.Sprint(i), Seq: uint64(i), Type: "alert", At: time.Now()})
	}
	if s := n.States()["alerts"]; s.Queued != 256 || s.Fates[notify.Full] != 44 || n.Owed()[0].Event.ID != "44" {
		t.Errorf("%+v", s)
	}
	n.Set(nil)
	n.Tell(notify.Event{ID: "evt_2", Type: "alert"})
	if len(n.States()) != 0 {
		t.Errorf("%+v", n.States())
	}
}

// Where only the Internet is allowed, nothing inside is called, whatever name leads there; nor is a redirect followed.
func TestNoWayInside(t *testing.T) {
	inside := listen(t)
	outside := hook("outside", strings.Replace(inside.URL, "127.0.0.1", "localhost", 1))
	outside.AllowPrivate = false
	bad := hook("bad", "http://169.254.169.254/latest/meta-data")
	gone := catalog.Hook{Name: "gone", URL: inside.URL, Problem: "HOOK_SECRET is not set", AllowPrivate: true}
	redirects := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	n := start(t, outside, bad, gone, hook("redirects", redirects.URL))
	for _, name := range []string{"outside", "bad", "gone", "redirects"} {
		if _, err := n.Test(t.Context(), name, notify.Event{ID: "evt"}); err == nil {
			t.Errorf("%s was told", name)
		}
	}
	if len(inside.heard) > 0 {
		t.Errorf("somebody inside was told: %s", (<-inside.heard).body)
	}
}

// What went wrong is told without the webhook's address, in which its owner may have a token, and as text.
func TestErrorsHideTheAddress(t *testing.T) {
	gone := listen(t)
	gone.Close()
	n := start(t, hook("gone", gone.URL+"/hook/token-canary?key=canary"))
	_, err := n.Test(t.Context(), "gone", notify.Event{ID: "evt"})
	if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(n.States()["gone"].LastError, "canary") {
		t.Errorf("%v; kept: %q", err, n.States()["gone"].LastError)
	}
}

func eventually(t *testing.T, n *notify.Notifier, name string, is func(notify.State) bool) {
	t.Helper()
	for range 2000 {
		if is(n.States()[name]) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%+v", n.States()[name])
}
