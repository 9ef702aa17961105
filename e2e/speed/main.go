// Command speed measures what a request costs the gateway in CPU time, beside plain proxies that only copy bytes, and publishes the table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"time"
)

// options of a run.
type options struct {
	aimux  string
	page   string
	rounds int
	time   time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.aimux, "aimux", ".tmp/bin/aimux", "the gateway's binary")
	flag.StringVar(&o.page, "o", "", "where the page goes; empty means the standard output")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, of which the median is told")
	flag.DurationVar(&o.time, "d", 3*time.Second, "how long each cell is measured")
	flag.Parse()
	if flag.Arg(0) == "reverse" { // one of the peers is this program itself
		fmt.Fprintln(os.Stderr, reverse(flag.Arg(1), flag.Arg(2)))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	pinned := pin(ctx, os.Getpid(), "0") == nil && runtime.NumCPU() > 1
	provider, err := startProvider(ctx)
	if err != nil {
		return err
	}
	var all []result
	for round := range o.rounds {
		for _, format := range formats {
			for _, p := range peers(o.aimux) {
				got, err := measure(ctx, p, format, provider, o.time, pinned)
				if errors.Is(err, exec.ErrNotFound) {
					continue // a peer that is not installed is not in the table
				}
				if err != nil {
					return fmt.Errorf("measuring %s: %w", p.name, err)
				}
				fmt.Fprintf(os.Stderr, "round %d, %s: %s\n", round+1, format.title, got)
				all = append(all, got...)
			}
		}
	}
	text := page(all, o.rounds, pinned)
	if o.page == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return os.WriteFile(o.page, []byte(text), 0o644) //nolint:gosec // everybody may read it
}

// pin keeps a process on one core, so that the gateway and who drives it do not take time from each other.
func pin(ctx context.Context, pid int, core string) error {
	return exec.CommandContext(ctx, "taskset", "-acp", core, strconv.Itoa(pid)).Run() //nolint:gosec // our own words
}

// result is one cell of one round.
type result struct {
	peer, format, cell string
	micros             float64 // CPU time for one unit of the cell
	perSecond          float64 // units
}

func (r result) String() string {
	return fmt.Sprintf("%s %s %.1f µs, %.0f/s", r.peer, r.cell, r.micros, r.perSecond)
}

// measure starts a peer and fills its cells.
func measure(ctx context.Context, p peer, format format, provider string, d time.Duration, pinned bool) ([]result, error) {
	running, err := p.start(ctx, format, provider)
	if err != nil {
		return nil, err
	}
	defer running.stop()
	if pinned {
		if err := pin(ctx, running.pid(), "1"); err != nil {
			return nil, err
		}
	}
	if err := running.await(ctx, format); err != nil {
		return nil, err
	}
	var all []result
	for _, c := range cells {
		l := startLoad(running.address, c, format)
		pause(ctx, d/3) // to warm up
		began, cpu, units := time.Now(), cpuTime(running.pid()), l.units.Load()
		pause(ctx, d)
		took, used, done := time.Since(began), cpuTime(running.pid())-cpu, l.units.Load()-units
		if err := l.stop(); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		all = append(all, result{p.name, format.name, c.name, float64(used.Microseconds()) / float64(max(done, 1)), float64(done) / took.Seconds()})
	}
	return all, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
