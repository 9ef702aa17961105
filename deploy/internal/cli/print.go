package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// printJSON writes a message of the admin API as the file format has it: snake case, stable, indented.
func printJSON(out io.Writer, message proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return err
	}
	// protojson varies its white space on purpose; indenting anew makes the output the same every time.
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	_, err = pretty.WriteTo(out)
	return err
}

// grid prints rows in columns, the first row being the heads.
func grid(out io.Writer, rows [][]string) error {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	return columns.Flush()
}

// stateName is a state as operators say it.
func stateName(state tablev1.State) string {
	if state == tablev1.State_STATE_UNSPECIFIED {
		return "-"
	}
	return strings.ToLower(strings.TrimPrefix(state.String(), "STATE_"))
}

// orDash keeps an empty cell visible.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// clock prints a time of the wire for people, in their own zone, and a dash for none.
func clock(unixMs int64) string {
	if unixMs == 0 {
		return "-"
	}
	return time.UnixMilli(unixMs).Format(time.DateTime)
}

// share prints parts per million as a percentage.
func share(ppm uint32) string { return fmt.Sprintf("%.1f%%", float64(ppm)/10_000) }

func milliseconds(n uint32) string { return fmt.Sprintf("%d ms", n) }

// measured prints a figure, and a dash for 0, which on the wire means that nothing has been measured.
func measured(n uint32, show func(uint32) string) string {
	if n == 0 {
		return "-"
	}
	return show(n)
}

// plainText is a text of somebody else's as a terminal may show it: without control characters, and cut.
func plainText(text string, most int) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '�'
		}
		return r
	}, text))
	if len(clean) > most {
		return string(clean[:most-1]) + "…"
	}
	return string(clean)
}

// compact takes out the white space that protojson varies on purpose.
func compact(text []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, text) != nil {
		return text
	}
	return out.Bytes()
}
