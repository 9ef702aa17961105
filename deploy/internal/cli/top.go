package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

type topCommand struct {
	remote
	Every time.Duration `help:"How often to look." default:"1s"`
	Once  bool          `help:"Look once and end, as it also does where it does not write to a terminal."`
}

const (
	topLeast    = 100 * time.Millisecond // the least time between two looks
	topWindow   = 10                     // looks over which rates are taken
	topPatience = 5 * time.Second        // for one look
)

// look is what was told at one moment.
type look struct {
	at     time.Time
	health *tablev1.Health
	usage  []*adminv1.Usage
	nodes  []*adminv1.NodeEntry
}

// Run shows health and usage until q or Ctrl-C is pressed.
func (c *topCommand) Run(ctx context.Context, street Street) error {
	client, base := c.dial()
	healths, usages := adminv1connect.NewHealthServiceClient(client, base), adminv1connect.NewUsageServiceClient(client, base)
	nodes := adminv1connect.NewNodeServiceClient(client, base)
	see := func(ctx context.Context) (look, error) {
		ctx, stop := context.WithTimeout(ctx, topPatience)
		defer stop()
		health, err := healths.GetHealth(ctx, connect.NewRequest(&adminv1.GetHealthRequest{}))
		if err != nil {
			return look{}, err
		}
		usage, err := usages.GetUsage(ctx, connect.NewRequest(&adminv1.GetUsageRequest{}))
		if err != nil {
			return look{}, err
		}
		list, err := nodes.ListNodes(ctx, connect.NewRequest(&adminv1.ListNodesRequest{}))
		if err != nil {
			return look{}, err
		}
		return look{time.Now(), health.Msg.GetHealth(), usage.Msg.GetUsage(), list.Msg.GetNodes()}, nil
	}
	first, err := see(ctx)
	if err != nil {
		return err
	}
	out, isFile := beneath(street.Stdout).(*os.File)
	switch {
	case c.Output == "json":
		return printLook(street.Stdout, first)
	case c.Once || !isFile || !term.IsTerminal(int(out.Fd())) || os.Getenv("TERM") == "dumb":
		_, err := io.WriteString(street.Stdout, strings.Join(screen([]look{first}, page{width: 120}), "\n")+"\n")
		return err
	}
	return c.watch(ctx, out, street.Stdin, first, see)
}

// watch draws on the terminal, and leaves it as it was.
func (c *topCommand) watch(ctx context.Context, out *os.File, in io.Reader, first look, see func(context.Context) (look, error)) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	if keys, ok := in.(*os.File); ok && term.IsTerminal(int(keys.Fd())) {
		before, err := term.MakeRaw(int(keys.Fd()))
		if err != nil {
			return fmt.Errorf("the terminal: %w", err)
		}
		defer func() { _ = term.Restore(int(keys.Fd()), before) }()
		go func() { // a read cannot be called off: it ends with the key that quits, or with the process
			defer quit()
			for key := [1]byte{}; ; {
				if n, err := keys.Read(key[:]); err != nil || n == 1 && strings.IndexByte("qQ\x03\x04", key[0]) >= 0 {
					return
				}
			}
		}()
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l\x1b[?7l")       // another screen, no cursor, and what is too long is cut
	defer fmt.Fprint(out, "\x1b[?7h\x1b[?25h\x1b[?1049l") // and back
	ticker := time.NewTicker(max(c.Every, topLeast))
	defer ticker.Stop()
	looks, trouble := []look{first}, error(nil)
	for {
		p := page{colour: os.Getenv("NO_COLOR") == ""}
		if p.width, p.height, _ = term.GetSize(int(out.Fd())); p.width <= 0 {
			p.width = 80
		}
		if trouble != nil {
			p.trouble = "not connected: " + plain(trouble)
		}
		fmt.Fprint(out, "\x1b[H"+strings.Join(screen(looks, p), "\x1b[K\r\n")+"\x1b[K\x1b[J")
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		var next look
		if next, trouble = see(ctx); trouble == nil {
			looks = append(looks, next)
			looks = looks[max(0, len(looks)-topWindow):]
		}
	}
}

// printLook writes what was told as one object on a line.
func printLook(out io.Writer, l look) error {
	marshal := protojson.MarshalOptions{UseProtoNames: true}.Marshal
	health, err := marshal(l.health)
	if err != nil {
		return err
	}
	var usage []string
	for _, u := range l.usage {
		text, err := marshal(u)
		if err != nil {
			return err
		}
		usage = append(usage, string(compact(text)))
	}
	_, err = fmt.Fprintf(out, `{"health":%s,"usage":[%s]}`+"\n", compact(health), strings.Join(usage, ","))
	return err
}

// page is what is drawn on: height 0 has no end.
type page struct {
	width, height int
	colour        bool
	trouble       string // why nothing new is heard
}

// topRow is one line of the table, and the line below it that says why.
type topRow struct {
	rank             int
	rate             float64
	state, name, why string
	figures          [len(topHeads)]string
}

const (
	topState = 13 // columns of the state
	topName  = 16 // the least of the name, as long as there is a figure beside it
	// nodesMost lines are taken by the head and by nodes in trouble, and no more than a third of the page.
	nodesMost = 8
)

// topHeads stand over the figures, each as wide as its column. Those that tell least go first where there is no room: topShed says in which order.
var (
	topHeads = [...]string{"WEIGHT", " TRIES/S", "    GOOD", "   FIRST", "FLIGHT"}
	topShed  = [...]int{4, 0, 3, 2, 1}
)

// columns says which figures a page has room for, and what they leave to the name.
func columns(width int) (shown [len(topHeads)]bool, name int) {
	name = width - topState
	for i, head := range topHeads {
		shown[i], name = true, name-len(head)-1
	}
	for _, i := range topShed {
		if name >= topName {
			break
		}
		shown[i], name = false, name+len(topHeads[i])+1
	}
	return shown, max(name, 1)
}

// figures are a row's cells, of those columns that are shown.
func figures(cells [len(topHeads)]string, shown [len(topHeads)]bool) string {
	var line strings.Builder
	for i, cell := range cells {
		if shown[i] {
			fmt.Fprintf(&line, " %*s", len(topHeads[i]), cell)
		}
	}
	return line.String()
}

// screen draws the latest look; rates are since the oldest.
func screen(looks []look, p page) []string {
	now, then := looks[len(looks)-1], looks[0]
	rows := topRows(now, then)
	lines := []string{fit(headline(now, then), p.width), ""}
	if p.trouble != "" {
		lines[1] = paint(p, 2, fit(p.trouble+"; shown is what was at "+now.at.Format("15:04:05"), p.width))
	}
	most := nodesMost
	if p.height > 0 {
		most = min(most, max(p.height/3, 2))
	}
	for _, entry := range now.nodes {
		if trouble := nodeTrouble(entry); trouble != "" && len(lines) < most {
			lines = append(lines, paint(p, 2, fit(entry.GetHeartbeat().GetNode()+": "+trouble, p.width)))
		}
	}
	shown, name := columns(p.width)
	lines = append(lines, fit(fmt.Sprintf("%-*s%-*s%s", topState, "STATE", name, fit("PROVIDER/MODEL", name), figures(topHeads, shown)), p.width))
	for i, row := range rows {
		if p.height > 0 && len(lines) >= p.height-2 {
			lines = append(lines, fit(fmt.Sprintf("… %d more", len(rows)-i), p.width))
			break
		}
		lines = append(lines, paint(p, row.rank, fmt.Sprintf("%-*s", topState, row.state))+fmt.Sprintf("%-*s%s", name, fit(row.name, name), figures(row.figures, shown)))
		if row.rank > 0 && row.why != "" {
			lines = append(lines, "  "+fit(row.why, p.width-2))
		}
	}
	return lines
}

// headline sums everything up.
func headline(now, then look) string {
	var flight uint32
	var spent float64
	for _, t := range now.health.GetTargets() {
		if t.GetModel() != "" && t.GetCredential() == "" {
			flight += t.GetInFlight()
		}
	}
	for _, u := range now.usage {
		spent += u.GetCostUsd()
	}
	live := 0
	for _, entry := range now.nodes {
		if entry.GetLive() {
			live++
		}
	}
	nodes := fmt.Sprintf("%d of %d nodes", live, len(now.nodes))
	return fmt.Sprintf("aimux %s  %s tries/s  %d in flight  $%.4f  %s, led by %s", now.at.Format("15:04:05"), tries(now, then, ""), flight, spent,
		nodes, orDash(now.health.GetHeader().GetLeader()))
}

// tries is how often a second a target was tried, or all of them; a dash while that is not known.
func tries(now, then look, target string) string {
	passed := now.at.Sub(then.at).Seconds()
	if passed <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", max(0, float64(requests(now, target))-float64(requests(then, target)))/passed)
}

func requests(l look, target string) (n uint64) {
	for _, u := range l.usage {
		if target == "" || u.GetProvider()+"/"+u.GetModel() == target {
			n += u.GetRequests()
		}
	}
	return n
}

// topRows are the models, and the providers and keys that are not well; the worst first, then what is tried most.
func topRows(now, then look) []topRow {
	var rows []topRow
	for _, t := range now.health.GetTargets() {
		rank := map[tablev1.State]int{tablev1.State_STATE_DEGRADED: 1, tablev1.State_STATE_HALF_OPEN: 1, tablev1.State_STATE_UNHEALTHY: 2, tablev1.State_STATE_CIRCUIT_OPEN: 2}[t.GetState()]
		if rank == 0 && (t.GetModel() == "" || t.GetCredential() != "") {
			continue
		}
		name, rate := t.GetProvider()+"/"+t.GetModel(), "-"
		switch {
		case t.GetCredential() != "":
			name = t.GetProvider() + " key " + t.GetCredential()
		case t.GetModel() == "":
			name = t.GetProvider()
		default:
			rate = tries(now, then, name)
		}
		rows = append(rows, topRow{
			rank: rank, rate: float64(requests(now, name) - min(requests(then, name), requests(now, name))), state: stateName(t.GetState()), name: name, why: t.GetReason(),
			figures: [...]string{share(t.GetWeightPpm()), rate, measured(t.GetSuccessPpm(), share), measured(t.GetFirstTokenMs(), milliseconds), fmt.Sprint(t.GetInFlight())},
		})
	}
	slices.SortStableFunc(rows, func(a, b topRow) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(b.rate, a.rate), strings.Compare(a.name, b.name))
	})
	return rows
}

// fit is a text of somebody else's in that many columns.
func fit(text string, columns int) string { return plainText(text, max(columns, 1)) }

// paint colours a text by how bad it is: green, yellow, red.
func paint(p page, rank int, text string) string {
	if !p.colour {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", [...]int{32, 33, 31}[min(rank, 2)], text)
}
