package controlplane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/identity"
)

const (
	// ledgerMax bounds the sums: days times callers times models. Beyond it the oldest day goes.
	ledgerMax = 1 << 18
	// subjectsMax bounds the sums of a day that are of issuers' subjects, of whom there may be any number: so they never push out the other days. Beyond
	// it, those that are new that day are summed up together.
	subjectsMax = 1 << 14
	// bootsMax bounds the boots of nodes that are known again; each says a block's number once more at most for as long as it lives.
	bootsMax = 1 << 14
	// regionsMax bounds the regions that are told one by one.
	regionsMax     = 64
	ledgerSave     = 30 * time.Second
	ledgerPatience = time.Second
	ledgerVersion  = 1
	dayFormat      = "2006-01-02"
)

// blocks are where the ledger reads from; *bus.Bus is one.
type blocks interface {
	WatchUsage(ctx context.Context, after uint64, replicas int, restart, whole func(), handle func(sequence uint64, m *outcomev1.UsageBlock)) error
}

// ledger is what was used, by day and by who used it. Every replica sums up the same stream by itself, each block once, and keeps the sums on
// disk with how far it has come. Safe for concurrent use.
type ledger struct {
	from     blocks
	replicas int
	path     string
	log      *slog.Logger

	mu      sync.Mutex
	book    book   // guarded by mu
	purse   purse  // guarded by mu
	trouble string // guarded by mu
	dirty   bool   // guarded by mu
	// whole: all that the stream had has been counted, once since the start.
	whole bool // guarded by mu
}

// book is a ledger's content, as it is kept on disk.
type book struct {
	Version  int    `json:"version"`
	Sequence uint64 `json:"sequence"`
	Recorded int64  `json:"recorded_unix_ms"`
	// Regions are when the last request of each ended.
	Regions map[string]int64 `json:"regions"`
	// Boots are how far each boot of a node has been counted.
	Boots []boot `json:"boots"`
	Lines []line `json:"lines"`

	boots map[bootKey]*boot
	lines map[lineKey]*usageSum
	// subjects are, by day, how many of the lines are subjects'.
	subjects map[string]int
}

type bootKey struct {
	Node string `json:"node"`
	Boot uint64 `json:"boot"`
}

type boot struct {
	bootKey
	Sequence uint64 `json:"sequence"`
	Lost     uint64 `json:"lost,omitempty"`
	Heard    int64  `json:"heard_unix_ms"`
}

// lineKey is what sums are kept apart by.
type lineKey struct {
	Day      string `json:"day"`
	Region   string `json:"region,omitempty"`
	Key      string `json:"key,omitempty"`
	Team     string `json:"team,omitempty"`
	Provider string `json:"provider"`
	Model    string `json:"model"`
}

type line struct {
	lineKey
	Sums [7]uint64 `json:"sums"`
}

// newLedger opens the book in that directory; without one, or without a good book, it begins with the first block that the stream has.
func newLedger(from blocks, replicas int, dir string, log *slog.Logger) *ledger {
	l := &ledger{from: from, replicas: replicas, log: log, book: newBook(), purse: purse{sums: map[purseKey]uint64{}}}
	l.purse.turn(time.Now())
	if dir == "" {
		return l
	}
	l.path = filepath.Join(dir, "usage.ledger")
	kept, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l
	}
	if err == nil {
		l.book, err = openBook(kept)
	}
	if err != nil {
		l.log.Warn("the ledger of usage cannot be read; it begins anew", "file", l.path, "error", err)
		l.book = newBook()
	}
	for at, s := range l.book.lines {
		l.purse.add(at, s.costNano)
	}
	return l
}

func newBook() book {
	return book{Regions: map[string]int64{}, boots: map[bootKey]*boot{}, lines: map[lineKey]*usageSum{}, subjects: map[string]int{}}
}

func openBook(kept []byte) (book, error) {
	b := newBook()
	if err := json.Unmarshal(kept, &b); err != nil {
		return b, err
	}
	if b.Version != ledgerVersion {
		return b, fmt.Errorf("version %d, want %d", b.Version, ledgerVersion)
	}
	if b.Regions == nil {
		b.Regions = map[string]int64{}
	}
	for _, one := range b.Boots {
		b.boots[one.bootKey] = &one
	}
	for _, one := range b.Lines {
		s := one.Sums
		*b.sum(one.lineKey) = usageSum{s[0], s[1], s[2], s[3], s[4], s[5], s[6]}
	}
	b.Boots, b.Lines = nil, nil
	return b, nil
}

// run reads until ctx ends.
func (l *ledger) run(ctx context.Context) {
	saved := time.NewTicker(ledgerSave)
	defer saved.Stop()
	reading := make(chan struct{})
	go func() { defer close(reading); l.read(ctx) }()
	for {
		select {
		case <-saved.C:
			l.save()
		case <-reading:
			l.save()
			return
		}
	}
}

// read sums up what the stream brings, and comes back to it when it fails.
func (l *ledger) read(ctx context.Context) {
	for {
		l.mu.Lock()
		after := l.book.Sequence
		l.mu.Unlock()
		err := l.from.WatchUsage(ctx, after, l.replicas, l.restart, l.becomeWhole, l.observe)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.trouble = err.Error()
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(ledgerPatience):
		}
	}
}

// restart is for a stream that was made anew: what has been counted stays, and what comes again is known again.
func (l *ledger) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.book.Sequence = 0
}

// becomeWhole is for the end of the stream.
func (l *ledger) becomeWhole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole = true
}

// observe counts a block, unless it has been counted.
func (l *ledger) observe(sequence uint64, m *outcomev1.UsageBlock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble, l.dirty = "", true
	l.purse.turn(time.Now())
	b := &l.book
	b.Sequence = max(b.Sequence, sequence)
	key := bootKey{m.GetNode(), m.GetBoot()}
	seen := b.boots[key]
	if seen == nil {
		b.makeRoom()
		seen = &boot{bootKey: key}
		b.boots[key] = seen
	}
	if m.GetSeq() <= seen.Sequence {
		return
	}
	seen.Sequence, seen.Lost, seen.Heard = m.GetSeq(), m.GetLost(), m.GetEndedUnixMs()
	b.Recorded = max(b.Recorded, m.GetEndedUnixMs())
	if _, known := b.Regions[m.GetRegion()]; known || len(b.Regions) < regionsMax {
		b.Regions[m.GetRegion()] = max(b.Regions[m.GetRegion()], m.GetEndedUnixMs())
	}
	day := time.UnixMilli(m.GetEndedUnixMs()).UTC().Format(dayFormat)
	for _, w := range m.GetLines() {
		at := b.place(lineKey{day, m.GetRegion(), w.GetCaller(), w.GetTeam(), w.GetProvider(), w.GetModel()})
		l.purse.add(at, w.GetCostNanoUsd())
		b.sum(at).add(&usageSum{
			w.GetRequests(), w.GetFailures(), w.GetInputTokens(), w.GetOutputTokens(), w.GetCacheReadTokens(), w.GetCacheWriteTokens(), w.GetCostNanoUsd(),
		})
	}
}

// place is where a line is counted: as itself, or with other subjects of its issuer.
func (b *book) place(at lineKey) lineKey {
	issuer, ok := identity.IssuerOf(at.Key)
	if !ok || b.lines[at] != nil || b.subjects[at.Day] < subjectsMax {
		return at
	}
	at.Key = identity.OtherSubjects(issuer)
	return at
}

// sum finds or makes a line.
func (b *book) sum(at lineKey) *usageSum {
	s := b.lines[at]
	if s == nil {
		s = &usageSum{}
		b.lines[at] = s
		if _, ok := identity.IssuerOf(at.Key); ok {
			b.subjects[at.Day]++
		}
	}
	return s
}

// makeRoom forgets the boot that was heard of longest ago, and the oldest day, where there are too many.
func (b *book) makeRoom() {
	if len(b.boots) >= bootsMax {
		oldest := slices.MinFunc(slices.Collect(maps.Values(b.boots)), func(x, y *boot) int { return cmp.Compare(x.Heard, y.Heard) })
		delete(b.boots, oldest.bootKey)
	}
	if len(b.lines) >= ledgerMax {
		first := ""
		for at := range b.lines {
			if first == "" || at.Day < first {
				first = at.Day
			}
		}
		maps.DeleteFunc(b.lines, func(at lineKey, _ *usageSum) bool { return at.Day == first })
		delete(b.subjects, first)
	}
}

func (s *usageSum) add(other *usageSum) {
	s.requests += other.requests
	s.failures += other.failures
	s.input += other.input
	s.output += other.output
	s.cacheRead += other.cacheRead
	s.cacheWrite += other.cacheWrite
	s.costNano += other.costNano
}

// save keeps the book, if it has changed.
func (l *ledger) save() {
	l.mu.Lock()
	if !l.dirty || l.path == "" {
		l.mu.Unlock()
		return
	}
	kept := book{Version: ledgerVersion, Sequence: l.book.Sequence, Recorded: l.book.Recorded, Regions: maps.Clone(l.book.Regions)}
	for _, b := range l.book.boots {
		kept.Boots = append(kept.Boots, *b)
	}
	for at, s := range l.book.lines {
		kept.Lines = append(kept.Lines, line{at, [7]uint64{s.requests, s.failures, s.input, s.output, s.cacheRead, s.cacheWrite, s.costNano}})
	}
	l.dirty = false
	l.mu.Unlock()
	body, err := json.Marshal(kept)
	if err == nil {
		err = replace(l.path, body)
	}
	if err != nil {
		l.log.Warn("the ledger of usage is not kept", "file", l.path, "error", err)
	}
}

// sums adds up what the request asks for; by is validated.
func (l *ledger) sums(ask *adminv1.SumUsageRequest) *adminv1.SumUsageResponse {
	by := ask.GetBy()
	if len(by) == 0 {
		by = []string{"key", "provider", "model"}
	}
	matches := func(want, is string) bool { return want == "" || want == is }
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[lineKey]*usageSum{}
	for at, s := range l.book.lines {
		if at.Day < ask.GetSince() || ask.GetUntil() != "" && at.Day > ask.GetUntil() || !matches(ask.GetKey(), at.Key) ||
			!matches(ask.GetTeam(), at.Team) || !matches(ask.GetProvider(), at.Provider) || !matches(ask.GetModel(), at.Model) || !matches(ask.GetRegion(), at.Region) {
			continue
		}
		to := at.only(by)
		if found[to] == nil {
			found[to] = &usageSum{}
		}
		found[to].add(s)
	}
	answer := &adminv1.SumUsageResponse{RecordedUnixMs: l.book.Recorded, Trouble: l.trouble, Sums: listed(found, int(ask.GetTop()))}
	for _, b := range l.book.boots {
		answer.Lost += b.Lost
	}
	for _, name := range slices.Sorted(maps.Keys(l.book.Regions)) {
		if matches(ask.GetRegion(), name) {
			answer.Regions = append(answer.Regions, &adminv1.RegionUsage{Region: name, RecordedUnixMs: l.book.Regions[name]})
		}
	}
	return answer
}

// sumsMax is how many sums are told at once.
const sumsMax = 10_000

// listed are sums in their order, or the dearest first.
func listed(found map[lineKey]*usageSum, top int) (list []*adminv1.UsageSum) {
	for at, s := range found {
		list = append(list, &adminv1.UsageSum{
			Day: at.Day, Region: at.Region, Key: at.Key, Team: at.Team, Provider: at.Provider, Model: at.Model, Requests: s.requests, Failures: s.failures,
			InputTokens: s.input, OutputTokens: s.output, CacheReadTokens: s.cacheRead, CacheWriteTokens: s.cacheWrite, CostUsd: float64(s.costNano) / 1e9,
		})
	}
	slices.SortFunc(list, func(a, b *adminv1.UsageSum) int {
		dearer := 0
		if top > 0 {
			dearer = cmp.Or(cmp.Compare(b.GetCostUsd(), a.GetCostUsd()), cmp.Compare(b.GetRequests(), a.GetRequests()))
		}
		return cmp.Or(dearer, cmp.Compare(a.GetDay(), b.GetDay()), cmp.Compare(a.GetRegion(), b.GetRegion()), cmp.Compare(a.GetTeam(), b.GetTeam()), cmp.Compare(a.GetKey(), b.GetKey()),
			cmp.Compare(a.GetProvider(), b.GetProvider()), cmp.Compare(a.GetModel(), b.GetModel()))
	})
	if top <= 0 || top > sumsMax {
		top = sumsMax
	}
	return list[:min(top, len(list))]
}

// only is the key with nothing but what it is to be by.
func (at lineKey) only(by []string) (to lineKey) {
	for _, what := range by {
		switch what {
		case "day":
			to.Day = at.Day
		case "region":
			to.Region = at.Region
		case "key":
			to.Key = at.Key
		case "team":
			to.Team = at.Team
		case "provider":
			to.Provider = at.Provider
		case "model":
			to.Model = at.Model
		}
	}
	return to
}
