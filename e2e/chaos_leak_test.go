package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestNothingIsLeftBehind loads the nodes, with clients that leave in the middle and providers that fail, and counts goroutines and memory
// afterwards (I18).
func TestNothingIsLeftBehind(t *testing.T) {
	quiet(t)
	const slow = "tokens=100+token=10ms"
	house := chaosHouse(t, fourProviders(slow, "stall+after=3", "cut+after=3"))
	load := func(model string, length time.Duration) {
		w := pourEvery(t, house.Data, 24, model, chaosDeadline, time.Millisecond)
		time.Sleep(length)
		sum(w.halt()).answersAlways(t, model)
	}
	load("text", 2*time.Second) // connections, pools and buffers that stay
	count := func() (most, memory int) {
		for i, node := range house.Data {
			most = max(most, goroutines(t, node))
			memory = max(memory, residentKB(t, house, fmt.Sprint("node-", i+1)))
		}
		return most, memory
	}
	calm := func() { runtime.GC(); time.Sleep(500 * time.Millisecond) }
	calm()
	before, memory := count()
	load("text", 2*time.Second)
	load(slow, 2*time.Second)
	load("stall+after=3", 2*time.Second)
	leaveEarly(t, house, slow)
	after, kept := 0, 0
	eventually(t, "goroutines are back where they were", func() error {
		if after, kept = count(); after > before+before/5+10 {
			return fmt.Errorf("%d, before the load %d", after, before)
		}
		return nil
	})
	t.Logf("goroutines of the busiest node: %d before, %d after; memory of the largest %d kB before, %d kB after", before, after, memory, kept)
	if kept > memory+memory/2+16<<10 {
		t.Errorf("the largest node holds %d kB, %d kB before the load", kept, memory)
	}
}

// leaveEarly has clients leave in the middle of their answers.
func leaveEarly(t testing.TB, house *House, model string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			body := fmt.Sprintf(`{"model":%q,"stream":%v,"max_tokens":1024,"messages":[{"role":"user","content":"Hello!"}]}`, model, i%2 == 0)
			client := &http.Client{Timeout: time.Duration(50+10*i) * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
			response, err := client.Post(house.Data[i%len(house.Data)]+"/v1/messages", "application/json", strings.NewReader(body))
			if err == nil {
				_, _ = bufio.NewReader(response.Body).ReadString(0)
				response.Body.Close()
			}
		})
	}
	all.Wait()
}
