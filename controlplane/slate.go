package controlplane

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aimux/aimux/controlplane/internal/notify"
	"github.com/aimux/aimux/controlplane/internal/store"
	"github.com/aimux/aimux/shared/secret"
)

const (
	// slatePatience is how long a new leader waits for the slate, slateTimeout how long one reading or writing takes at most, and slateRetry lies between two
	// writings of a page that could not be written.
	slatePatience = 5 * time.Second
	slateTimeout  = 2 * time.Second
	slateRetry    = time.Second
	// slatePurpose is of the key under which pages are signed: nobody but a control plane says what is owed.
	slatePurpose = "what webhooks were told"
)

// slate is where the herald keeps what whoever leads next must know. Its record is the MAC of a page and the page.
type slate struct {
	on  store.Slate
	key secret.Key
	log *slog.Logger
	// pages goes to run; an empty one says to write no more.
	pages chan []byte
	// written is the last page that went there, without its time.
	written []byte
}

func newSlate(on store.Slate, key secret.Key, log *slog.Logger) slate {
	return slate{on: on, key: key.Derive(slatePurpose), log: log, pages: make(chan []byte, 1)}
}

// page is what stands on the slate.
type page struct {
	At     time.Time            `json:"at"`
	Seq    uint64               `json:"seq"`
	Told   map[string]time.Time `json:"told,omitempty"`
	Alarms []pageAlarm          `json:"alarms,omitempty"`
	Owed   []notify.Debt        `json:"owed,omitempty"`
}

type pageAlarm struct {
	alarmKey
	Since  time.Time `json:"since"`
	Firing bool      `json:"firing,omitempty"`
	Value  float64   `json:"value,omitempty"`
}

// read is the last page; nil when there is none.
func (s *slate) read(ctx context.Context) (*page, error) {
	ctx, cancel := context.WithTimeout(ctx, slateTimeout)
	defer cancel()
	record, err := s.on.Read(ctx)
	if err != nil || len(record) == 0 {
		return nil, err
	}
	if len(record) < sha256.Size {
		return nil, errors.New("the slate is damaged")
	}
	mac := s.key.MAC(string(record[sha256.Size:]))
	if !hmac.Equal(mac[:], record[:sha256.Size]) {
		return nil, errors.New("the slate was not written by a control plane with this cluster key")
	}
	last := &page{}
	if err := json.Unmarshal(record[sha256.Size:], last); err != nil {
		return nil, fmt.Errorf("reading the slate: %w", err)
	}
	return last, nil
}

// write hands a page that says something new to run.
func (s *slate) write(p *page) {
	at := p.At
	p.At = time.Time{}
	says, err := json.Marshal(p)
	if err != nil || bytes.Equal(says, s.written) {
		return
	}
	s.written, p.At = says, at
	if text, err := json.Marshal(p); err == nil {
		s.give(text)
	}
}

// leave says that somebody else writes now.
func (s *slate) leave() {
	s.written = nil
	s.give(nil)
}

// give replaces what run has not taken.
func (s *slate) give(text []byte) {
	select {
	case <-s.pages:
	default:
	}
	s.pages <- text
}

// run writes what it is given until ctx ends, and what could not be written again.
func (s *slate) run(ctx context.Context) {
	var text []byte
	var again <-chan time.Time
	failing := false // says each trouble once
	for {
		select {
		case text = <-s.pages:
		case <-again:
		case <-ctx.Done():
			return
		}
		again = nil
		if len(text) == 0 {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, slateTimeout)
		mac := s.key.MAC(string(text))
		err := s.on.Write(limit, append(mac[:], text...))
		cancel()
		if err != nil && ctx.Err() == nil {
			again = time.After(slateRetry)
			if !failing {
				s.log.Warn("what webhooks are owed is not written down; the next leader would not know", "error", err)
			}
		}
		failing = err != nil
	}
}
