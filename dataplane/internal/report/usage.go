package report

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	outcomev1 "github.com/aimux/aimux/proto/gen/aimux/outcome/v1"
	"github.com/aimux/aimux/shared/fault"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/outcome"
)

// UsageBus is where what was used goes; SendUsage returns when it is kept there.
type UsageBus interface {
	SendUsage(ctx context.Context, m *outcomev1.UsageBlock) error
}

// UsageConfig holds the bounds. A zero field takes the default named beside it.
type UsageConfig struct {
	// Boot identifies this start of the node's process; milliseconds since 1970.
	Boot uint64
	// Dir is where blocks wait until they are kept elsewhere, through the death of this process; empty means in memory.
	Dir string
	// LinesMax are the callers and models of one block, 4096; BlocksMax wait, 4096, the oldest of which is dropped for the next.
	LinesMax, BlocksMax int
}

// UsageDeps is what a Usage needs of its owner.
type UsageDeps struct {
	// Bus may be nil: then blocks wait for ever.
	Bus UsageBus
	Log *slog.Logger
}

// The rhythm of Usage. What a process has not written down dies with it.
const (
	usageEvery   = 5 * time.Second
	usageTimeout = 2 * time.Second
	usageSuffix  = ".usage"
)

// Usage writes down what every caller has used, so that it lands in the ledger exactly once: a block of sums is numbered, put on disk, sent until
// it is acknowledged, and then forgotten. Record may be called from any goroutine and never waits.
type Usage struct {
	config UsageConfig
	deps   UsageDeps

	mu    sync.Mutex
	lines map[usageKey]*outcomev1.UsageLine // guarded by mu
	ended time.Time                         // guarded by mu
	full  chan struct{}

	lost, merged, dropped, kept atomic.Uint64
	waiting                     atomic.Int64

	// The rest belongs to Run.
	seq    uint64
	blocks []block // oldest first
	failed bool
}

type usageKey struct{ caller, team, provider, model string }

// block waits to be sent: on disk as file, or here.
type block struct {
	boot, seq uint64
	file      string
	body      *outcomev1.UsageBlock
}

// NewUsage makes a Usage; Run makes it write and send. It errs when the directory cannot be used.
func NewUsage(config UsageConfig, deps UsageDeps) (*Usage, error) {
	config.LinesMax, config.BlocksMax = cmp.Or(config.LinesMax, 4096), cmp.Or(config.BlocksMax, 4096)
	u := &Usage{config: config, deps: deps, lines: make(map[usageKey]*outcomev1.UsageLine), full: make(chan struct{}, 1)}
	if config.Dir == "" {
		return u, nil
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of usage %q: %w", config.Dir, err)
	}
	return u, u.find()
}

// find takes up what an earlier process has not sent.
func (u *Usage) find() error {
	entries, err := os.ReadDir(u.config.Dir)
	if err != nil {
		return fmt.Errorf("reading the directory of usage %q: %w", u.config.Dir, err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), usageSuffix)
		boot, seq, numbered := strings.Cut(name, "-")
		b := block{file: filepath.Join(u.config.Dir, e.Name())}
		var err1, err2 error
		b.boot, err1 = strconv.ParseUint(boot, 10, 64)
		b.seq, err2 = strconv.ParseUint(seq, 10, 64)
		if ok && numbered && err1 == nil && err2 == nil {
			u.blocks = append(u.blocks, b)
		}
	}
	slices.SortFunc(u.blocks, func(a, b block) int { return cmp.Or(cmp.Compare(a.boot, b.boot), cmp.Compare(a.seq, b.seq)) })
	u.waiting.Store(int64(len(u.blocks)))
	return nil
}

// Record takes a request that has ended.
func (u *Usage) Record(r *outcome.Record) {
	answered := len(r.Attempts) - 1
	for i := range r.Attempts {
		if r.Attempts[i].Fault.Kind == fault.None {
			answered = i
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if i != answered && a.Usage == (outcome.Usage{}) && a.CostNano == 0 {
			continue
		}
		line := u.line(usageKey{r.Caller, r.Team, a.Target.Provider, a.Target.Model})
		if line == nil {
			u.lost.Add(1)
			continue
		}
		if i == answered {
			line.Requests++
			if a.Fault.Kind != fault.None {
				line.Failures++
			}
		}
		line.InputTokens += a.Usage.Input
		line.OutputTokens += a.Usage.Output
		line.CacheReadTokens += a.Usage.CacheRead
		line.CacheWriteTokens += a.Usage.CacheWrite
		line.CostNanoUsd += a.CostNano
		if a.Ended.After(u.ended) {
			u.ended = a.Ended
		}
	}
}

// line finds or makes a line; nil when there is no room. Of subjects there may be any number: where they take half of the room, those that are new
// are summed up together. The caller holds mu.
func (u *Usage) line(key usageKey) *outcomev1.UsageLine {
	line := u.lines[key]
	if issuer, ok := identity.IssuerOf(key.caller); ok && line == nil && len(u.lines) >= u.config.LinesMax/2 {
		key.caller = identity.OtherSubjects(issuer)
		line = u.lines[key]
		u.merged.Add(1)
	}
	if line == nil && len(u.lines) < 2*u.config.LinesMax {
		line = &outcomev1.UsageLine{Caller: key.caller, Team: key.team, Provider: key.provider, Model: key.model}
		u.lines[key] = line
	}
	if len(u.lines) >= u.config.LinesMax {
		poke(u.full)
	}
	return line
}

// UsageStats are blocks that wait now, blocks that were kept since the start, blocks that were dropped for lack of room, requests that had
// no line, and requests that had one with other subjects of their issuer.
type UsageStats struct{ Waiting, Kept, Dropped, Lost, Merged uint64 }

// Stats may be called at any time.
func (u *Usage) Stats() UsageStats {
	return UsageStats{uint64(u.waiting.Load()), u.kept.Load(), u.dropped.Load(), u.lost.Load(), u.merged.Load()}
}

// Run writes and sends until ctx ends, and once more then.
func (u *Usage) Run(ctx context.Context) {
	ticker := time.NewTicker(usageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			u.cut()
			u.send(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
		case <-u.full:
		}
		u.cut()
		u.send(ctx)
	}
}

// blockBytesMax bounds a block as it is sent: the bus carries twice as much.
const blockBytesMax = 512 << 10

// cut ends a block and writes it down; where it would be too long to be sent, as several.
func (u *Usage) cut() {
	u.mu.Lock()
	lines, ended := u.lines, u.ended
	if len(lines) == 0 {
		u.mu.Unlock()
		return
	}
	u.lines = make(map[usageKey]*outcomev1.UsageLine)
	u.mu.Unlock()
	var some []*outcomev1.UsageLine
	size := 0
	for _, line := range lines {
		if bytes := proto.Size(line) + lineOverhead; size+bytes > blockBytesMax {
			u.keep(some, ended)
			some, size = nil, bytes
		} else {
			size += bytes
		}
		some = append(some, line)
	}
	u.keep(some, ended)
}

// lineOverhead is what a line takes in a block beside its own bytes: its tag and its length.
const lineOverhead = 8

// keep writes one block down.
func (u *Usage) keep(lines []*outcomev1.UsageLine, ended time.Time) {
	u.seq++
	m := &outcomev1.UsageBlock{Boot: u.config.Boot, Seq: u.seq, EndedUnixMs: ended.UnixMilli(), Lost: u.lost.Load(), Lines: lines}
	b := block{boot: m.GetBoot(), seq: m.GetSeq(), body: m}
	if u.config.Dir != "" {
		b.file = filepath.Join(u.config.Dir, fmt.Sprintf("%d-%d%s", b.boot, b.seq, usageSuffix))
		if err := write(b.file, m); err != nil {
			u.deps.Log.Error("what was used cannot be written down; it waits in memory", "file", b.file, "error", err)
			b.file = ""
		} else {
			b.body = nil
		}
	}
	if len(u.blocks) >= u.config.BlocksMax {
		u.dropped.Add(1)
		u.forget()
	}
	u.blocks = append(u.blocks, b)
	u.waiting.Store(int64(len(u.blocks)))
}

// forget drops the oldest block.
func (u *Usage) forget() {
	if file := u.blocks[0].file; file != "" {
		if err := os.Remove(file); err != nil {
			u.deps.Log.Warn("a block of usage stays on disk", "file", file, "error", err) // sent again, it is known again
		}
	}
	u.blocks[0] = block{}
	u.blocks = u.blocks[1:]
	u.waiting.Store(int64(len(u.blocks)))
}

// send sends the blocks, oldest first, until one is not acknowledged: the next must not overtake it.
func (u *Usage) send(ctx context.Context) {
	for len(u.blocks) > 0 && u.deps.Bus != nil {
		b := u.blocks[0]
		m := b.body
		if m == nil {
			m = &outcomev1.UsageBlock{}
			if err := read(b.file, m); err != nil {
				u.deps.Log.Error("a block of usage cannot be read, and is dropped", "file", b.file, "error", err)
				u.dropped.Add(1)
				u.forget()
				continue
			}
		}
		err := u.sendOne(ctx, m)
		if (err != nil) != u.failed {
			u.failed = err != nil
			u.deps.Log.Info("usage waits until it is kept", "waits", u.failed, "error", err)
		}
		if err != nil {
			return
		}
		u.kept.Add(1)
		u.forget()
	}
}

func (u *Usage) sendOne(ctx context.Context, m *outcomev1.UsageBlock) error {
	ctx, cancel := context.WithTimeout(ctx, usageTimeout)
	defer cancel()
	return u.deps.Bus.SendUsage(ctx, m)
}

// write puts a block on disk, whole or not at all.
func write(path string, m *outcomev1.UsageBlock) error {
	body, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".draft-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // gone already when all went well
	_, err = draft.Write(body)
	if err == nil {
		err = draft.Sync()
	}
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	return err
}

func read(path string, m *outcomev1.UsageBlock) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return proto.Unmarshal(body, m)
}
