package controlplane

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/aimux/aimux/controlplane/internal/admin"
	"github.com/aimux/aimux/controlplane/internal/catalog"
	"github.com/aimux/aimux/controlplane/internal/store"
	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/shared/secret"
)

// The file is a second source beside the admin API. Of routing, auth, limits and each provider, key and team, what has changed in the file since it was
// last applied to the cluster is written to the catalog: set where the file has it, deleted where the file no longer has it.
// What has not changed in the file is left as it is, so a change over the API stands, over restarts too, until the file changes
// in that place. All replicas may be given the same file: whoever is first applies it, the others find nothing to change.

const (
	routingSection = "routing"
	authSection    = "auth"
	limitsSection  = "limits"
	providerPrefix = "providers/"
	keyPrefix      = "keys/"
	teamPrefix     = "teams/"
	webhookPrefix  = "webhooks/"
	retryFirst     = 100 * time.Millisecond
	retryLast      = 2 * time.Second
)

// readCatalog decodes and judges a file's content; an error is one line with every problem.
func readCatalog(path string, content []byte) (*adminv1.Catalog, error) {
	cat, problems := catalog.Read(content, catalog.FormatOf(path))
	if len(cat.GetTokens()) > 0 {
		problems = append(problems, catalog.Problem{Path: "tokens", Reason: "are made over the admin API (aimux token create), never by a file"})
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("configuration %q: %s", path, oneLine(catalog.Problems(problems)))
	}
	return cat, nil
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// merge writes into doc what has changed in the file since it was last applied, and notes it. It answers whether doc changed.
func merge(doc *adminv1.Document, file *adminv1.Catalog, key secret.Key) (changed bool) {
	now := sections(file, key)
	for name, hash := range now {
		if !hmac.Equal(doc.GetFile()[name], hash) {
			changed = true
			take(doc, file, name)
		}
	}
	for name := range doc.GetFile() {
		if now[name] == nil {
			changed = true
			take(doc, file, name)
		}
	}
	doc.File = now
	return changed
}

// sections are what the file says something about, each with a keyed hash: the file may hold keys in clear, and a plain
// hash would let a guess be proved.
func sections(file *adminv1.Catalog, key secret.Key) map[string][]byte {
	all := map[string][]byte{}
	note := func(name string, m proto.Message) {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return // text that is not UTF-8, which Decode does not let in
		}
		mac := hmac.New(sha256.New, []byte("aimux file section "+key.Reveal()))
		mac.Write(text)
		all[name] = mac.Sum(nil)
	}
	if file.GetRouting() != nil {
		note(routingSection, file.GetRouting())
	}
	if file.GetAuth() != nil {
		note(authSection, file.GetAuth())
	}
	if file.GetLimits() != nil {
		note(limitsSection, file.GetLimits())
	}
	for id, p := range file.GetProviders() {
		note(providerPrefix+id, p)
	}
	for id, k := range file.GetKeys() {
		note(keyPrefix+id, k)
	}
	for id, team := range file.GetTeams() {
		note(teamPrefix+id, team)
	}
	for name, hook := range file.GetWebhooks() {
		note(webhookPrefix+name, hook)
	}
	return all
}

// take copies one section of the file into doc, or deletes it there.
func take(doc *adminv1.Document, file *adminv1.Catalog, name string) {
	kind, id, _ := strings.Cut(name, "/")
	switch kind + "/" {
	case routingSection + "/":
		doc.Catalog.Routing = proto.CloneOf(file.GetRouting())
	case authSection + "/":
		doc.Catalog.Auth = proto.CloneOf(file.GetAuth())
	case limitsSection + "/":
		doc.Catalog.Limits = proto.CloneOf(file.GetLimits())
	case providerPrefix:
		takeEntry(&doc.Catalog.Providers, file.GetProviders(), id)
		if file.GetProviders()[id] == nil {
			delete(doc.GetOverrides(), id)
		}
	case keyPrefix:
		before := doc.GetCatalog().GetKeys()[id]
		takeEntry(&doc.Catalog.Keys, file.GetKeys(), id)
		keepRevoked(before, doc.GetCatalog().GetKeys()[id])
	case teamPrefix:
		takeEntry(&doc.Catalog.Teams, file.GetTeams(), id)
	case webhookPrefix:
		takeEntry(&doc.Catalog.Webhooks, file.GetWebhooks(), id)
	}
}

// takeEntry sets one entry as the file has it, or deletes what the file no longer has.
func takeEntry[M proto.Message](into *map[string]M, from map[string]M, id string) {
	one, there := from[id]
	if !there {
		delete(*into, id)
		return
	}
	if *into == nil {
		*into = map[string]M{}
	}
	(*into)[id] = proto.CloneOf(one)
}

// keepRevoked lets nobody bring back a revoked key by changing something else of it in the file. A new hash is another key.
func keepRevoked(before, after *adminv1.ClientKey) {
	if after != nil && after.GetRevokedUnixMs() == 0 && bytes.Equal(before.GetHash(), after.GetHash()) {
		after.RevokedUnixMs = before.GetRevokedUnixMs()
	}
}

// source brings the file, or the seed of an empty store, into the catalog.
type source struct {
	path     string
	content  []byte
	seed     *adminv1.Catalog
	keeper   *keeper
	log      *slog.Logger
	troubles *troubles
	// first adds to the first catalog of all what a first start makes; what it returns is called once that is saved.
	first func(doc *adminv1.Document) (saved func())
}

// run applies what there is at the start, then every edit of the file, until ctx ends.
func (s *source) run(ctx context.Context) {
	if s.path == "" {
		s.save(ctx, "the first catalog", admin.Author{Actor: "system", Procedure: "start"}, func(doc *adminv1.Document, revision uint64) error {
			if revision != 0 {
				return errNothing
			}
			doc.Catalog = proto.CloneOf(s.seed)
			return nil
		})
		return
	}
	s.apply(ctx, s.content)
	store.WatchFile(ctx, s.path, s.content, s.log, func(content []byte, err error) {
		if err != nil {
			s.report(err)
			return
		}
		s.apply(ctx, content)
	})
}

func (s *source) apply(ctx context.Context, content []byte) {
	file, err := readCatalog(s.path, content)
	if err != nil {
		s.report(err)
		return
	}
	s.save(ctx, s.path, admin.Author{Actor: "file:" + s.path, Procedure: "file"}, func(doc *adminv1.Document, revision uint64) error {
		if !merge(doc, file, s.keeper.env.Key) && revision != 0 {
			return errNothing
		}
		return nil
	})
}

// report says what keeps the file from being applied; the last good catalog stays.
func (s *source) report(err error) {
	s.log.Error("the configuration file is not applied; the last good catalog stays", "error", err)
	s.troubles.set("file", err.Error())
}

// save makes the change, again and again while the store is away.
func (s *source) save(ctx context.Context, what string, by admin.Author, change func(*adminv1.Document, uint64) error) {
	var saved func()
	begin := func(doc *adminv1.Document, revision uint64) error {
		err := change(doc, revision)
		if saved = nil; err == nil && revision == 0 {
			saved = s.first(doc)
		}
		return err
	}
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		revision, err := s.keeper.change(ctx, by, 0, begin)
		switch {
		case err == nil:
			if saved != nil {
				saved()
			}
			s.log.Info("catalog written", "from", what, "revision", revision)
			s.troubles.set("file", "")
			return
		case errors.Is(err, errNothing):
			s.troubles.set("file", "")
			return
		case ctx.Err() != nil:
			return
		case !errors.Is(err, store.ErrUnavailable):
			s.report(fmt.Errorf("%s: %s", what, oneLine(err)))
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}
