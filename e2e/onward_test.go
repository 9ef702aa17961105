package e2e

import (
	"fmt"
	"net/url"
	"testing"
)

// TestABrokenStreamGoesOn has both official SDKs read a stream of plain text whose provider breaks in its middle, each in its own way: another provider
// goes on with it, whatever formats the three speak, and the client reads every word once.
func TestABrokenStreamGoesOn(t *testing.T) {
	const tale = "The old mill ran slowly, and “nobody” minded: 水 fell on its wheel.\n\nThen it was dusk, and it stopped. "
	says := "say=" + url.PathEscape(tale)
	faults := []string{"cut", "abort", "reset", "stall", "error-mid-stream", "garbage"}
	wires := []string{"anthropic", "openai"}
	type trial struct {
		name, ill string
		client    client
	}
	var trials []trial
	providers := map[string]any{}
	for _, second := range wires {
		settings := serves(compatible(second), "well", "asked-"+second+"-*")
		settings["supports_prefill"] = true
		providers["well-"+second] = settings
		for _, first := range wires {
			for _, fault := range faults {
				for i, client := range clients {
					id := fmt.Sprintf("%s-%s-%s-%d", second, first, fault, i)
					providers[id] = serves(compatible(first), "asked-"+id)
					trials = append(trials, trial{fmt.Sprintf("%s reads %s, %s, %s", client.name, first, fault, second), id, client})
				}
			}
		}
	}
	house := openRouted(t, Forms[0], map[string]any{"continuation": true, "retry_share": 1, "idle_timeout": 1}, providers)
	for _, second := range wires {
		if err := house.Upstream["well-"+second].Behave(says); err != nil {
			t.Fatal(err)
		}
	}
	for i, trial := range trials {
		if err := house.Upstream[trial.ill].Behave(fmt.Sprintf("%s+token=1ms+after=%d+%s", says, 3+i%10, faults[i/len(clients)%len(faults)])); err != nil {
			t.Fatal(err)
		}
		t.Run(trial.name, func(t *testing.T) {
			got, err := trial.client.chat(t.Context(), house.Data[0], "asked-"+trial.ill)
			if err != nil || got.text != tale || got.output == 0 {
				t.Errorf("%+v, %v", got, err)
			}
			if n := house.Upstream[trial.ill].Stats().Requests; n != 1 {
				t.Errorf("the provider that broke got %d requests", n)
			}
		})
	}
	figures := house.counters(t)
	if got := figures["aimux_continuations_total"]; int(got) < len(trials)*9/10 || figures["aimux_continuations_failed_total"] > 0 {
		t.Errorf("%v of %d answers are counted as gone on with, %v as not", got, len(trials), figures["aimux_continuations_failed_total"])
	}
}
