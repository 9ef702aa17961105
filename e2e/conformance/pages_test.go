package conformance

// get is a page asked for by a client.
func get(runs, path, got string) Leg {
	return Leg{Runs: runs, Modes: "plain", Method: "GET", Path: path, Raw: " ", Got: got}
}

var pages = Group{"pages", "Models and other pages", []Case{
	{"models-paged", "The list of models, page by page", "a client that goes on where it stopped never comes to an end", []Leg{
		get("A>A", "/v1/models?limit=1", `
			data len 1
			has_more = true`),
		get("A>A", "/v1/models?limit=none", fell("400", "invalid_request_error")),
		get("A>A", "/v1/models?after_id=nobody", fell("400", "invalid_request_error")),
	}},
	{"models", "The list of models", "the client's menu is empty", []Leg{
		get("A>A", "/v1/models?limit=1000", `
			data[0].type = "model"
			data[0].id present
			data[0].display_name present
			data[0].created_at matches ^\d{4}-\d\d-\d\dT
			has_more = false
			first_id present
			last_id present`),
		get("O>A", "/v1/models", `
			object = "list"
			data[0].object = "model"
			data[0].id present
			data[0].created present
			data[0].owned_by present`),
		get("A>A", "/anthropic/v1/models", `data[0].type = "model"`),
	}},
	{"one-model", "One model", "the client does not know what it can do", []Leg{
		get("A>A", "/v1/models/claude-sonnet-5-5", `
			id = "claude-sonnet-5-5"
			type = "model"
			max_input_tokens = 1000000
			max_tokens = 128000
			capabilities.image_input.supported = true
			capabilities.thinking.supported = true`),
		get("O>A", "/v1/models/claude-sonnet-5-5", `
			id = "claude-sonnet-5-5"
			object = "model"`),
	}},
	{"no-such-model", "A model that is not there", "another document than the client expects", []Leg{
		get("A>A", "/anthropic/v1/models/nobody", `
			@status = 404
			error.type = "not_found_error"`),
		get("O>A", "/v1/models/nobody", `
			@status = 404
			error.code = "model_not_found"`),
	}},
	{"heads", "The agent's first knock", "it does not start", []Leg{
		{Runs: "A>A", Modes: "plain", Method: "HEAD", Path: "/", Raw: " ", Got: `@status = 200`},
		{Runs: "A>A", Modes: "plain", Method: "HEAD", Path: "/anthropic", Raw: " ", Got: `@status = 200`},
	}},
	{"not-found", "A path that is not there", "an error in another format than the client's", []Leg{
		get("A>A", "/v1/messages/batches", "@status = 404\nerror.type = \"not_found_error\""),
		get("O>A", "/v1/nothing", "@status = 404\nerror.message present"),
		{Runs: "A>A", Modes: "plain", Method: "GET", Path: "/v1/messages", Raw: " ", Got: "@status = 405\nerror.type = \"invalid_request_error\""},
	}},
	{"who-answered", "Who has answered, and how", "nobody can tell why it was slow", []Leg{
		{Runs: "A>O O>A", Got: `
			@header.x-aimux-provider matches ^pages-
			@header.x-aimux-model present
			@header.x-aimux-class present
			@header.x-aimux-attempts = "1"
			@header.server-timing ~ upstream`},
	}},
	{"aliases", "A model under another vendor's name", "an agent that knows only its own vendor's names cannot be served", []Leg{
		{Runs: "A>any-O", Modes: "plain", Settings: `{"model":{"serves":["claude-for-everyone-*"]}}`, Raw: `{"model":"claude-for-everyone-4","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`, Sent: `model = "some-model"`, Got: `model = "claude-for-everyone-4"`},
	}},
	{"model-as-asked", "The model's name in the answer", "the client does not know the name that comes back", []Leg{
		{Runs: "A>O A>any-O", Got: `model ~ pages-model-as-asked`},
		{Runs: "O>A O>any-A", Got: `model ~ pages-model-as-asked`},
		{Runs: "A>A", Got: `model = "claude-sonnet-5-5"`},
	}},
}}
