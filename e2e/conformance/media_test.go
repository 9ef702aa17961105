package conformance

func aUser(blocks string) string { return `{"messages":[{"role":"user","content":[` + blocks + `]}]}` }

var media = Group{"media", "Images and documents", []Case{
	{"image", "An image", "the model is blind", []Leg{
		{Runs: "A>O A>any-O", Ask: aUser(`{"type":"text","text":"What?"},` + aPNG), Sent: `
			messages[0].content[*].type = ["text","image_url"]
			messages[0].content[1].image_url.url = "data:image/png;base64,` + png + `"`},
		{Runs: "O>A O>any-A", Ask: aUser(`{"type":"text","text":"What?"},` + oPNG), Sent: `
			messages[0].content[*].type = ["text","image"]
			messages[0].content[1].source = {"type":"base64","media_type":"image/png","data":"` + png + `"}`},
		{Runs: "A>A", Ask: aUser(aPNG), Sent: `messages[0].content == [` + aPNG + `]`},
	}},
	{"image-by-address", "An image by its address", "the model is blind", []Leg{
		{Runs: "A>O", Ask: aUser(`{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}`), Sent: `messages[0].content[0] = {"type":"image_url","image_url":{"url":"https://example.com/a.png"}}`},
		{Runs: "O>A", Ask: aUser(`{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"high"}}`), Sent: `messages[0].content[0].source = {"type":"url","url":"https://example.com/a.png"}`,
			Got: `@header.x-aimux-warnings ~ detail`},
	}},
	{"image-names", "The other name of a type", "image/jpg is no type to one vendor, and every second client sends it", []Leg{
		{Runs: "O>A O>any-A", Ask: aUser(`{"type":"image_url","image_url":{"url":"data:image/JPG;base64,` + png + `"}}`), Sent: `messages[0].content[0].source.media_type = "image/jpeg"`},
	}},
	{"text-file", "A file that is text", "it is refused, although anybody can read it", []Leg{
		{Runs: "O>A O>any-A", Ask: aUser(`{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,SGkgIsO8Igo="}}`), Sent: `
			messages[0].content[0].source = {"type":"text","media_type":"text/plain","data":"Hi \"ü\"\n"}
			messages[0].content[0].title = "a.txt"`},
	}},
	{"image-type", "An image of a type that the vendor does not take", "the refusal comes from deep inside the provider", []Leg{
		{Runs: "O>A", Ask: aUser(`{"type":"image_url","image_url":{"url":"data:image/tiff;base64,` + png + `"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]`},
	}},
	{"image-without-eyes", "An image for a model that cannot see", "it answers as if there were none", []Leg{
		{Runs: "A>cerebras O>cerebras", Ask: `{"messages":[{"role":"user","content":[{"type":"text","text":"What?"}]}]}`, Sent: `messages len 1`},
		{Runs: "A>cerebras", Ask: aUser(aPNG), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]
			@header.x-should-retry = "false"`},
		{Runs: "O>cerebras", Ask: aUser(oPNG), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]`},
		{Runs: "A>cerebras", Ask: aUser(aPNG), Beside: []Beside{{Flavour: "O"}}, Sent: `
			@count = 0
			b1 @count = 1`},
		{Runs: "A>cerebras", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[` + aPNG + `]}`), Beside: []Beside{{Flavour: "A"}}, Sent: `
			@count = 0
			b1 @count = 1`},
	}},
	{"files-elsewhere", "A file that lies at one vendor", "another vendor is asked for a file it does not have", []Leg{
		{Runs: "A>O", Ask: aUser(`{"type":"image","source":{"type":"file","file_id":"file_1"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ messages[0].content[0]`},
		{Runs: "O>A", Ask: aUser(`{"type":"file","file":{"file_id":"file-1"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ messages[0].content[0]`},
		{Runs: "A>A", Ask: aUser(`{"type":"image","source":{"type":"file","file_id":"file_1"}}`), Header: []string{"Anthropic-Beta", "files-api-2025-04-14"}, Sent: `messages[0].content[0].source.file_id = "file_1"`},
	}},
	{"pdf", "A document", "the model has not read it", []Leg{
		{Runs: "A>O", Ask: aUser(`{"type":"document","title":"report.pdf","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}},{"type":"text","text":"Sum up."}`), Sent: `
			messages[0].content[0] = {"type":"file","file":{"file_data":"data:application/pdf;base64,` + pdf + `","filename":"report.pdf"}}`},
		{Runs: "O>A", Ask: aUser(`{"type":"file","file":{"file_data":"data:application/pdf;base64,` + pdf + `","filename":"report.pdf"}},{"type":"text","text":"Sum up."}`), Sent: `
			messages[0].content[0].type = "document"
			messages[0].content[0].source = {"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}
			messages[0].content[0].title = "report.pdf"`},
		{Runs: "O>A", Ask: aUser(`{"type":"image_url","image_url":{"url":"data:application/pdf;base64,` + pdf + `"}}`), Sent: `messages[0].content[0].type = "document"`},
		{Runs: "A>cerebras", Ask: aUser(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]`},
		{Runs: "A>cerebras", Ask: aUser(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), Beside: []Beside{{Flavour: "O"}}, Sent: `
			@count = 0
			b1 @count = 1`},
	}},
	{"unstated-abilities", "What nobody has said of a model", "a request that would have worked is refused", []Leg{
		{Runs: "A>any-O", Ask: aUser(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), Sent: `messages[0].content[0].file.file_data ~ ` + pdf},
		{Runs: "A>any-A", Ask: aUser(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), Sent: `messages[0].content[0].source.data = "` + pdf + `"`},
		{Runs: "A>any-O", Ask: aUser(`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), Settings: `{"supports_pdf":false}`, Sent: `@count = 0`, Got: "@status = 400"},
		{Runs: "A>any-A", Ask: aUser(aPNG), Settings: `{"supports_vision":false}`, Sent: `@count = 0`, Got: "@status = 400"},
		{Runs: "O>any-O", Ask: `{"n":2}`, Sent: `n = 2`},
	}},
	{"images-where-tools-have-eyes", "A provider that takes images in tool messages", "they are moved away from what they belong to", []Leg{
		{Runs: "A>eyes-O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"text","text":"look"},` + aPNG + `]}`), Sent: `
			messages[*].role = ["user","assistant","tool"]
			messages[2].content[*].type = ["text","image_url"]`},
	}},
	{"document-text", "A document that is text", "it is dropped, or refused", []Leg{
		{Runs: "A>O A>cerebras", Ask: aUser(`{"type":"document","title":"Notes","context":"from 1999","source":{"type":"text","media_type":"text/plain","data":"the words"}},{"type":"text","text":"Sum up."}`), Sent: `
			messages[0].content[0].text ~ Notes
			messages[0].content[0].text ~ from 1999
			messages[0].content[0].text ~ the words
			messages[0].content[1].text = "Sum up."`},
		{Runs: "A>O", Ask: aUser(`{"type":"document","source":{"type":"content","content":[{"type":"text","text":"the words"},` + aPNG + `]}}`), Sent: `
			messages[0].content[*].type = ["text","image_url"]
			messages[0].content[0].text = "the words"`},
		{Runs: "A>O", Ask: aUser(`{"type":"document","citations":{"enabled":true},"source":{"type":"text","media_type":"text/plain","data":"the words"}}`), Sent: `messages[0].content ~ the words`, Got: `@header.x-aimux-warnings ~ citations`},
	}},
	{"document-by-address", "A document by its address", "the gateway would fetch what it is told to", []Leg{
		{Runs: "A>O", Ask: aUser(`{"type":"document","source":{"type":"url","url":"https://example.com/a.pdf"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.message ~ messages[0].content[0].source`},
	}},
	{"search-results", "Search results that the caller brings", "the model has not read them", []Leg{
		{Runs: "A>O", Ask: aUser(`{"type":"search_result","source":"https://example.com/p","title":"The Page","content":[{"type":"text","text":"the words"}],"citations":{"enabled":true}}`), Sent: `
			messages[0].content ~ The Page
			messages[0].content ~ https://example.com/p
			messages[0].content ~ the words`, Got: `@header.x-aimux-warnings ~ messages[0].content[0]`},
	}},
	{"document-in-result", "A document in a tool's result", "the agent's file is gone", []Leg{
		{Runs: "A>O", Ask: aCalledOnce(`{"type":"tool_result","tool_use_id":"toolu_a","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}]}`), Sent: `
			messages[2].role = "tool"
			messages[2].content !~ ` + pdf + `
			messages[3].content[-1].file.file_data ~ ` + pdf},
	}},
	{"audio", "Sound", "the model is deaf and does not say so", []Leg{
		{Runs: "O>A", Ask: aUser(`{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}`), Sent: `@count = 0`, Got: `
			@status = 400
			error.type = "invalid_request_error"
			error.message ~ messages[0].content[0]`},
	}},
	{"detail", "Notes on an image that the other format has not", "refused as unknown", []Leg{
		{Runs: "O>O", Ask: aUser(`{"type":"image_url","image_url":{"url":"https://example.com/a.png","detail":"low"}}`), Sent: `messages[0].content[0].image_url.detail = "low"`},
	}},
}}
