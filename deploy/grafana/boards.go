package grafana

const (
	failed = `fault=~"overloaded|server_error|connect|first_token_timeout|stall|truncated|garbage|deadline|internal|unauthorized|quota_exhausted"`
	chosen = `provider=~"$provider"`
)

// percentiles are three series of a histogram, for all or by some labels.
func percentiles(histogram, matchers, by string) []Query {
	prefix, labels := "", "le"
	if by != "" {
		prefix, labels = "{{"+by+"}} ", "le, "+by
	}
	var all []Query
	for _, p := range []struct{ q, name string }{{"0.5", "p50"}, {"0.95", "p95"}, {"0.99", "p99"}} {
		all = append(all, Query{"histogram_quantile(" + p.q + ", sum by (" + labels + ") (rate(" + histogram + "_bucket{" + matchers + "}[$__rate_interval])))", prefix + p.name})
	}
	return all
}

// one is a panel of one query.
func one(title, unit, kind, expr, legend string) Panel {
	return Panel{Title: title, Unit: unit, Kind: kind, Queries: []Query{{expr, legend}}}
}

// Boards are all boards, in the order in which somebody who is paged looks at them.
func Boards() []Board {
	return []Board{overview(), providers(), house()}
}

func overview() Board {
	return Board{UID: "aimux-overview", Title: "aimux: overview", Panels: []Panel{
		one("Requests", "reqps", "stat", `sum(rate(aimux_requests_total[$__rate_interval]))`, ""),
		one("Success", "percentunit", "stat", `1 - (sum(rate(aimux_requests_total{`+failed+`}[$__rate_interval])) or vector(0)) / sum(rate(aimux_requests_total{fault!="canceled"}[$__rate_interval]))`, ""),
		one("Spend", "currencyUSD", "stat", `sum(increase(aimux_cost_usd_total[$__range]))`, ""),
		one("Capacity left", "percentunit", "stat", `min(aimux_controlplane_capacity_ratio)`, ""),
		one("Requests by class", "reqps", "timeseries", `sum by (class) (rate(aimux_requests_total[$__rate_interval]))`, "{{class}}"),
		one("Failures by kind", "reqps", "timeseries", `sum by (fault) (rate(aimux_requests_total{fault!="ok"}[$__rate_interval]))`, "{{fault}}"),
		{Title: "First byte", Unit: "s", Kind: "timeseries", Text: "As clients see it, all attempts included.", Queries: percentiles("aimux_first_byte_seconds", "", "")},
		{Title: "Whole answer", Unit: "s", Kind: "timeseries", Queries: percentiles("aimux_request_duration_seconds", "", "")},
		{Title: "Who answers", Unit: "reqps", Kind: "timeseries", Queries: []Query{{`sum by (provider) (rate(aimux_answers_total[$__rate_interval]))`, "{{provider}}"}}},
		{Title: "Why they answer", Unit: "reqps", Kind: "timeseries", Queries: []Query{{`sum by (reason) (rate(aimux_answers_total[$__rate_interval]))`, "{{reason}}"}}},
		{Title: "Second tries", Unit: "reqps", Kind: "timeseries", Queries: []Query{
			{`sum(rate(aimux_failovers_total[$__rate_interval]))`, "failovers"}, {`sum(rate(aimux_retries_total[$__rate_interval]))`, "retries"},
			{`sum(rate(aimux_retries_denied_total[$__rate_interval]))`, "retries denied"}, {`sum(rate(aimux_hedges_total[$__rate_interval]))`, "hedges"},
			{`sum(rate(aimux_hedges_won_total[$__rate_interval]))`, "hedges that won"},
		}},
		{Title: "What the gateway adds", Unit: "s", Kind: "timeseries", Text: "From the last byte of the request's body to the first attempt, without the wait for room.", Queries: percentiles("aimux_overhead_seconds", "", "")},
		one("Tokens", "short", "timeseries", `sum by (kind) (rate(aimux_tokens_total[$__rate_interval]))`, "{{kind}}"),
		one("Dollars an hour", "currencyUSD", "timeseries", `3600 * sum by (provider) (rate(aimux_cost_usd_total[$__rate_interval]))`, "{{provider}}"),
	}}
}

func providers() Board {
	return Board{UID: "aimux-providers", Title: "aimux: providers", ByProvider: true, Panels: []Panel{
		{Title: "Circuits", Unit: "short", Kind: "state-timeline", Wide: true, Text: "0 healthy, 1 degraded, 2 unhealthy, 3 open, 4 half open.", Queries: []Query{{`max by (provider, model) (aimux_controlplane_target_state{` + chosen + `})`, "{{provider}}/{{model}}"}}},
		one("Weight", "percentunit", "timeseries", `max by (provider, model) (aimux_controlplane_target_weight{`+chosen+`})`, "{{provider}}/{{model}}"),
		one("Success", "percentunit", "timeseries", `sum by (provider) (rate(aimux_attempts_total{fault="ok",`+chosen+`}[$__rate_interval])) / sum by (provider) (rate(aimux_attempts_total{fault!="canceled",`+chosen+`}[$__rate_interval]))`, "{{provider}}"),
		one("In flight", "short", "timeseries", `sum by (provider, model) (aimux_target_in_flight{`+chosen+`})`, "{{provider}}/{{model}}"),
		one("Failures by kind", "reqps", "timeseries", `sum by (provider, fault) (rate(aimux_attempts_total{fault!="ok",`+chosen+`}[$__rate_interval]))`, "{{provider}} {{fault}}"),
		{Title: "First token", Unit: "s", Kind: "timeseries", Queries: percentiles("aimux_first_token_seconds", chosen, "provider")},
		one("Time per output token", "s", "timeseries", `histogram_quantile(0.5, sum by (le, provider) (rate(gen_ai_server_time_per_output_token_seconds_bucket{`+chosen+`}[$__rate_interval])))`, "{{provider}}"),
		one("Operations", "s", "timeseries", `histogram_quantile(0.95, sum by (le, provider) (rate(gen_ai_client_operation_duration_seconds_bucket{`+chosen+`}[$__rate_interval])))`, "{{provider}} p95"),
		one("Late first tokens", "reqps", "timeseries", `sum by (provider) (rate(aimux_first_token_overdue_total{`+chosen+`}[$__rate_interval]))`, "{{provider}}"),
		one("Transitions", "short", "timeseries", `sum by (provider, to) (increase(aimux_controlplane_transitions_total{`+chosen+`}[5m]))`, "{{provider}} to {{to}}"),
		one("Tokens an operation", "short", "timeseries", `sum by (provider, gen_ai_token_type) (rate(gen_ai_client_token_usage_sum{`+chosen+`}[$__rate_interval])) / sum by (provider, gen_ai_token_type) (rate(gen_ai_client_token_usage_count{`+chosen+`}[$__rate_interval]))`, "{{provider}} {{gen_ai_token_type}}"),
	}}
}

func house() Board {
	return Board{UID: "aimux-house", Title: "aimux: nodes, limits and control planes", Panels: []Panel{
		one("Leading", "short", "stat", `sum(aimux_controlplane_leading)`, ""),
		one("Live nodes", "short", "stat", `max(sum by (instance) (aimux_controlplane_nodes{live="true"}))`, ""),
		one("Nodes behind", "short", "stat", `max(sum by (instance) (aimux_controlplane_nodes{live="true",current="false"})) or vector(0)`, ""),
		one("Revision", "short", "stat", `max(aimux_controlplane_config_revision)`, ""),
		one("Silence of the control plane", "s", "timeseries", `aimux_table_silence_seconds`, "{{instance}}"),
		one("Revision in use", "short", "timeseries", `aimux_table_revision`, "{{instance}}"),
		{Title: "Convergence", Unit: "s", Kind: "timeseries", Text: "From a revision's publishing to each node's ACK.", Queries: percentiles("aimux_controlplane_convergence_duration_seconds", "", "")},
		{Title: "The loop's step", Unit: "s", Kind: "timeseries", Queries: percentiles("aimux_controlplane_step_seconds", "", "")},
		one("NATS", "short", "timeseries", `aimux_bus_connected`, "{{instance}}"),
		one("Store of limits", "short", "timeseries", `aimux_limit_store_up`, "{{instance}}"),
		{Title: "What was lost", Unit: "cps", Kind: "timeseries", Queries: []Query{
			{`sum by (instance) (rate(aimux_records_dropped_total[$__rate_interval]))`, "{{instance}} records"}, {`sum by (instance) (rate(aimux_batches_unsent_total[$__rate_interval]))`, "{{instance}} batches"},
			{`sum by (instance) (rate(aimux_controlplane_batches_missed_total[$__rate_interval]))`, "{{instance}} missed"},
		}},
		one("Limits in use", "percentunit", "timeseries", `sum by (scope, what) (aimux_limit_in_use) / max by (scope, what) (aimux_limit{what="in_flight"} > 0)`, "{{scope}} {{what}}"),
		one("Refused by limits", "reqps", "timeseries", `sum by (scope, what) (rate(aimux_limit_refused_total[$__rate_interval]))`, "{{scope}} {{what}}"),
		{Title: "Queue", Unit: "short", Kind: "timeseries", Queries: []Query{{`sum(aimux_queue_waiting)`, "waiting"}, {`sum by (result) (rate(aimux_queue_requests_total[$__rate_interval]))`, "{{result}} a second"}}},
		one("Requests in flight", "short", "timeseries", `sum by (instance) (aimux_requests_in_flight)`, "{{instance}}"),
		one("Memory", "bytes", "timeseries", `process_resident_memory_bytes{job=~"aimux-.*"}`, "{{instance}}"),
		one("Goroutines", "short", "timeseries", `go_goroutines{job=~"aimux-.*"}`, "{{instance}}"),
	}}
}
