package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	tablev1 "github.com/aimux/aimux/proto/gen/aimux/table/v1"
)

// office answers what completion asks for; some of its names are an attacker's.
type office struct {
	adminv1connect.UnimplementedProviderServiceHandler
	adminv1connect.UnimplementedTableServiceHandler
	silent chan struct{} // closed when it may answer about tables
}

func (o *office) ListProviders(context.Context, *connect.Request[adminv1.ListProvidersRequest]) (*connect.Response[adminv1.ListProvidersResponse], error) {
	return connect.NewResponse(&adminv1.ListProvidersResponse{Providers: []*adminv1.ProviderEntry{{Id: "zai"}, {Id: "openai"}, {Id: "$(reboot)"}, {Id: "a b"}, {Id: "x\n;reboot"}}}), nil
}

func (o *office) GetTable(ctx context.Context, _ *connect.Request[adminv1.GetTableRequest]) (*connect.Response[adminv1.GetTableResponse], error) {
	select {
	case <-o.silent:
	case <-ctx.Done():
	}
	return connect.NewResponse(&adminv1.GetTableResponse{Config: &tablev1.Config{Providers: []*tablev1.Provider{{Models: []*tablev1.Model{{Id: "glm:5"}, {Id: "`reboot`"}}}}}}), nil
}

func TestNamesComplete(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	o := &office{silent: make(chan struct{})}
	doors := http.NewServeMux()
	doors.Handle(adminv1connect.NewProviderServiceHandler(o))
	doors.Handle(adminv1connect.NewTableServiceHandler(o))
	server := httptest.NewServer(doors)
	defer server.Close()
	t.Setenv("AIMUX_ADMIN", server.URL)
	complete := func(words ...string) string {
		_, out, _ := say(t, append([]string{"complete", "--"}, words...)...)
		var got []string
		for line := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			got = append(got, word)
		}
		return strings.Join(got, " ")
	}
	began := time.Now()
	if got := complete("tail", "--model", ""); got != "" || time.Since(began) > 20*time.Second {
		t.Errorf("an API that does not answer: %q after %s", got, time.Since(began))
	}
	close(o.silent)
	for _, row := range []struct {
		words []string
		want  string
	}{
		{[]string{"provider", "get", ""}, "openai zai"},
		{[]string{"provider", "delete", "z"}, "zai"},
		{[]string{"provider", "override", "zai", "d"}, "drain"},
		{[]string{"provider", "delete", "zai", ""}, ""},
		{[]string{"tail", "--provider", "o"}, "openai"},
		{[]string{"tail", "--provider", "=", "o"}, "openai"},
		{[]string{"tail", "--provider", "="}, "openai zai"},
		{[]string{"tail", "--provider=o"}, "--provider=openai"},
		{[]string{"tail", "--model", "g"}, "glm:5"},
		{[]string{"tail", "--status", "5"}, "500 502 503 504 529 5xx"},
		{[]string{"tail", "--class", "t"}, "thinking tools"},
		{[]string{"key", "create", "--provider", "zai,"}, "zai,openai zai,zai"},
		{[]string{"key", "create", "--limit", "dollars"}, "dollars_per_day= dollars_per_month="},
		{[]string{"provider", "set", "zai", "max_concurrent"}, "max_concurrent_requests="},
		{[]string{"routing", "set", "hedge_s"}, "hedge_share="},
		{[]string{"limit", "get", "provider/o"}, "provider/openai provider/openai/keys"},
		{[]string{"tail", "--provider", "o", "--admin", "http://127.0.0.1:1", "--provider", ""}, ""},
		{[]string{"tail", "--nonsense=", ""}, ""},
	} {
		if got := complete(row.words...); got != row.want {
			t.Errorf("%q: %q, want %q", row.words, got, row.want)
		}
	}
}
