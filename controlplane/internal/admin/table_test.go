package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
)

// A filter that nobody can mean is refused, by its name; the others are handed on as they are.
func TestFiltersOfRequests(t *testing.T) {
	o := openOffice(t, nil)
	api := adminv1connect.NewUsageServiceClient(http.DefaultClient, o.url)
	for _, row := range []struct {
		filter *adminv1.RequestFilter
		want   string // part of the error; empty for none
	}{
		{nil, ""},
		{&adminv1.RequestFilter{Statuses: []string{"503", "4xx"}, Text: strings.Repeat("x", 256)}, ""},
		{&adminv1.RequestFilter{Statuses: []string{"503", "6xx"}}, `filter.statuses: "6xx"`},
		{&adminv1.RequestFilter{Statuses: []string{"50x"}}, "50x"},
		{&adminv1.RequestFilter{Statuses: []string{""}}, "want a status such as 503"},
		{&adminv1.RequestFilter{Text: strings.Repeat("x", 257)}, "filter.text"},
	} {
		r := connect.NewRequest(&adminv1.ListRequestsRequest{Filter: row.filter})
		r.Header().Set("Authorization", o.keys["viewer"])
		_, err := api.ListRequests(t.Context(), r)
		if (err == nil) != (row.want == "") || err != nil && (connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%v: %v, want %q", row.filter, err, row.want)
		}
	}
}

// Who mistypes an id is told which one there is.
func TestNobodyHasThisID(t *testing.T) {
	o := openOffice(t, nil)
	api := adminv1connect.NewProviderServiceClient(http.DefaultClient, o.url)
	before, _ := o.board.View()
	view := full()
	view.Document.Catalog.Tokens = before.Document.GetCatalog().GetTokens()
	view.Document.Catalog.Providers = map[string]*adminv1.Provider{"cerebras": {}, "zai": {}}
	o.board.put(view)
	for id, want := range map[string]string{"cerebars": `there is no provider "cerebars"; did you mean cerebras?`, "nobody": `there is no provider "nobody"`} {
		r := connect.NewRequest(&adminv1.GetProviderRequest{Id: id})
		r.Header().Set("Authorization", o.keys["viewer"])
		if _, err := api.GetProvider(t.Context(), r); connect.CodeOf(err) != connect.CodeNotFound || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
}
