package grafana

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the boards' files")

// The files beside this one are what the boards are.
func TestBoardsAreWritten(t *testing.T) {
	want := map[string]string{}
	for _, b := range Boards() {
		text, err := json.MarshalIndent(b.document(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want[b.UID+".json"] = string(text) + "\n"
	}
	for name, text := range want {
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(name); err != nil || string(have) != text {
			t.Errorf("%s is not what boards.go says: go test ./deploy/grafana -update (%v)", name, err)
		}
	}
	files, _ := filepath.Glob("*.json")
	if len(files) != len(want) {
		t.Errorf("%d files, %d boards", len(files), len(want))
	}
}

// No two panels lie on each other, and each asks for something.
func TestPanelsHaveRoom(t *testing.T) {
	for _, b := range Boards() {
		taken := map[[2]int]string{}
		for _, p := range b.document().Panels {
			if len(p.Targets) == 0 || p.Title == "" || p.GridPos.X+p.GridPos.W > gridWide {
				t.Errorf("%s: %+v", b.UID, p)
			}
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, there := taken[[2]int{x, y}]; there {
						t.Fatalf("%s: %q lies on %q", b.UID, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}
