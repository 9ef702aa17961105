package ingress

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// watch notices that a client leaves while its request is being served: by reading, once the request has taken a while. The ordinary short
// request costs a timer that does not fire, a long one a goroutine, and no event of a stream anything.
type watch struct {
	conn    *conn
	timer   *time.Timer
	mu      sync.Mutex
	on      bool          // guarded by mu
	reading chan struct{} // closed when the reading has ended; nil while there is none; guarded by mu
}

// watchAfter is how long a request takes before its client is watched.
const watchAfter = 25 * time.Millisecond

// start begins to watch. Nobody else reads the connection until stop.
func (w *watch) start() {
	w.conn.compact()
	w.mu.Lock()
	w.on = true
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.read)
		return
	}
	w.timer.Reset(watchAfter)
}

// read is the timer's goroutine.
func (w *watch) read() {
	c := w.conn
	w.mu.Lock()
	if !w.on || w.reading != nil || c.to == len(c.in) {
		w.mu.Unlock()
		return
	}
	done := make(chan struct{})
	w.reading = done
	c.until(time.Time{})
	w.mu.Unlock()
	n, err := c.raw.Read(c.in[c.to:])
	c.to += n // the beginning of the next request, if there is any
	if n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.cancel(context.Canceled)
	}
	close(done)
}

// stop ends the watch; afterwards the connection may be read again.
func (w *watch) stop() {
	w.mu.Lock()
	if !w.on {
		w.mu.Unlock()
		return
	}
	w.on = false
	reading := w.reading
	w.reading = nil
	w.timer.Stop()
	if reading != nil {
		w.conn.until(past)
	}
	w.mu.Unlock()
	if reading != nil {
		<-reading
	}
}
