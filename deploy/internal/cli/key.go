package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
	"github.com/aimux/aimux/proto/gen/aimux/admin/v1/adminv1connect"
	"github.com/aimux/aimux/shared/identity"
	"github.com/aimux/aimux/shared/keyfile"
	"github.com/aimux/aimux/shared/secret"
)

type keyCommands struct {
	Create  keyCreate  `cmd:"" help:"Make a client key and print it, this once."`
	List    keyList    `cmd:"" help:"List the client keys, what they may use and how they stand."`
	Update  keyUpdate  `cmd:"" help:"Change what a key may use: what is not said stays; an empty value takes a setting back."`
	Disable keyDisable `cmd:"" help:"Let nobody in with a key until it is enabled again."`
	Enable  keyEnable  `cmd:"" help:"Let a disabled key in again."`
	Revoke  keyRevoke  `cmd:"" help:"End a key for good, everywhere, before this returns."`
	Delete  keyDelete  `cmd:"" help:"Forget a key: whoever holds it is unknown from then on."`
}

func (r *remote) keys() adminv1connect.KeyServiceClient {
	client, base := r.dial()
	return adminv1connect.NewKeyServiceClient(client, base)
}

// scopeFlags say what may be used.
type scopeFlags struct {
	Provider []string `names:"provider" help:"Only these providers, by id." placeholder:"ID,…"`
	Model    []string `names:"model" help:"Only these models, as callers name them; a trailing * stands for any ending." placeholder:"NAME,…"`
	Class    []string `names:"class" help:"Only requests of these classes: standard, vision, thinking, tools, long_context, streaming." placeholder:"CLASS,…"`
	Region   []string `names:"region" help:"Only providers in these regions." placeholder:"NAME,…"`
	Limit    []string `names:"limit-setting" help:"A limit of the whole cluster, as in requests_per_minute=60 or dollars_per_day=5; name= takes it back." placeholder:"NAME=VALUE" sep:"none"`
}

// apply puts what was said over what there is.
func (f *scopeFlags) apply(scope **adminv1.Scope, limits **adminv1.Limits) error {
	said := &adminv1.Scope{}
	if *scope != nil {
		said = *scope
	}
	for _, list := range [...]struct {
		flag []string
		into *[]string
	}{{f.Provider, &said.Providers}, {f.Model, &said.Models}, {f.Class, &said.Classes}, {f.Region, &said.Regions}} {
		switch {
		case len(list.flag) == 1 && list.flag[0] == "":
			*list.into = nil
		case len(list.flag) > 0:
			*list.into = list.flag
		}
	}
	if *scope = said; proto.Size(said) == 0 {
		*scope = nil
	}
	if len(f.Limit) == 0 {
		return nil
	}
	if *limits == nil {
		*limits = &adminv1.Limits{}
	}
	if err := apply(*limits, "limit", f.Limit); err != nil {
		return err
	}
	if proto.Size(*limits) == 0 {
		*limits = nil
	}
	return nil
}

// keyFlags say everything that can be said of a key.
type keyFlags struct {
	Name     *string        `help:"Whose it is, for people."`
	Team     *string        `names:"team" help:"The team whose scope and limits hold for it too." placeholder:"ID"`
	Priority *int32         `help:"Higher goes first where requests wait for room: -100 to 100."`
	Expires  *time.Duration `help:"When it ends, from now, such as 720h; 0 for never." placeholder:"DURATION"`
	scopeFlags
}

func (f *keyFlags) apply(key *adminv1.ClientKey, now time.Time) error {
	if f.Name != nil {
		key.Name = *f.Name
	}
	if f.Team != nil {
		key.Team = *f.Team
	}
	if f.Priority != nil {
		key.Priority = *f.Priority
	}
	switch {
	case f.Expires == nil:
	case *f.Expires < 0:
		return fmt.Errorf("--expires %s: must not be negative", *f.Expires)
	case *f.Expires == 0:
		key.ExpiresUnixMs = 0
	default:
		key.ExpiresUnixMs = now.Add(*f.Expires).UnixMilli()
	}
	return f.scopeFlags.apply(&key.Scope, &key.Limits)
}

type keyCreate struct {
	remote
	keyFlags
	ID         string `arg:"" optional:"" help:"The public part of the key; default: made up."`
	Offline    bool   `help:"Ask nobody: print the key, and its entry for a configuration file."`
	ClusterKey string `help:"With --offline, the key of the cluster that shall know it: hex, base64 or file:PATH; default: that in --data." env:"AIMUX_CLUSTER_KEY" placeholder:"KEY"`
	Data       string `help:"With --offline, the data directory of the process that shall know it." env:"AIMUX_DATA" placeholder:"DIR"`
}

// Help gives examples.
func (*keyCreate) Help() string {
	return `The key alone goes to standard output, and is shown this once.

  aimux key create ci --model 'claude-*' --limit requests_per_minute=60 --limit dollars_per_day=5
  aimux key create --team red --expires 720h > key.txt
  aimux key create laptop --offline --data /var/lib/aimux`
}

// Run makes a key. The key alone goes to standard output, so that it can be piped.
func (c *keyCreate) Run(ctx context.Context, street Street) error {
	key := &adminv1.ClientKey{}
	if err := c.apply(key, time.Now()); err != nil {
		return err
	}
	if c.Offline {
		return c.offline(key, street)
	}
	answer, err := c.keys().CreateKey(ctx, connect.NewRequest(&adminv1.CreateKeyRequest{Id: c.ID, Key: key, Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	_ = tell(street.Stderr, "key %s is made, revision %d%s; it is shown this once:\n", answer.Msg.GetEntry().GetId(), answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
	_, err = fmt.Fprintln(street.Stdout, answer.Msg.GetKey())
	return err
}

// offline makes a key and the entry by which a configuration file lets it in.
func (c *keyCreate) offline(key *adminv1.ClientKey, street Street) error {
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	id := c.ID
	if id == "" {
		var random [identity.IDSize]byte
		rand.Read(random[:]) // never fails: the process ends when the system has no randomness
		id = identity.NewID(random)
	}
	if !identity.ValidID(id) {
		return fmt.Errorf("%q is no id: want 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit", id)
	}
	var random [identity.RandomSize]byte
	rand.Read(random[:])
	whole := identity.Mint(identity.Client, id, random)
	key.Hash, key.CreatedUnixMs = identity.NewHasher(cluster).Hash(whole), time.Now().UnixMilli()
	if c.Output == "json" {
		return printJSON(street.Stdout, &adminv1.CreateKeyResponse{Entry: &adminv1.KeyEntry{Id: id, Key: key}, Key: whole.Reveal()})
	}
	_ = tell(street.Stdout, "%s\n\n", whole.Reveal())
	return printJSON(street.Stdout, &adminv1.Catalog{Keys: map[string]*adminv1.ClientKey{id: key}})
}

// cluster finds the key that the hash is made with: the one that is named, or that of aimux up.
func (c *keyCreate) cluster() (secret.Key, error) {
	switch {
	case c.ClusterKey != "":
		return keyfile.Find(c.ClusterKey)
	case c.Data != "":
		return keyfile.InDir(c.Data)
	}
	home, err := keyfile.Home()
	if err != nil {
		return secret.Key{}, err
	}
	return keyfile.InDir(filepath.Join(home, upDir))
}

// reached says how far a write has come that was waited for.
func reached(c *adminv1.Convergence) string {
	switch {
	case c.GetNodes() == 0:
		return ", and no node is there to hear of it"
	case c.GetNacked() > 0:
		return fmt.Sprintf(", which %d of %d nodes refuse: aimux node list says why", c.GetNacked(), c.GetNodes())
	case c.GetAcked() < c.GetNodes():
		return fmt.Sprintf(", which only %d of %d nodes go by so far", c.GetAcked(), c.GetNodes())
	}
	return fmt.Sprintf(", in force on all nodes (%d) after %d ms", c.GetNodes(), (c.GetLastAckUs()+999)/1000)
}

type keyList struct{ remote }

// Run lists the keys.
func (c *keyList) Run(ctx context.Context, street Street) error {
	answer, err := c.keys().ListKeys(ctx, connect.NewRequest(&adminv1.ListKeysRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"ID", "STATE", "NAME", "TEAM", "MAY USE", "LIMITS", "PRIORITY", "EXPIRES"}}
	for _, entry := range answer.Msg.GetKeys() {
		key := entry.GetKey()
		rows = append(rows, []string{
			entry.GetId(), entry.GetState(), orDash(key.GetName()), orDash(key.GetTeam()), scopeText(key.GetScope()), inWords(key.GetLimits()),
			fmt.Sprint(key.GetPriority()), clock(key.GetExpiresUnixMs()),
		})
	}
	return grid(street.Stdout, rows)
}

// scopeText is a scope on one line.
func scopeText(s *adminv1.Scope) string {
	var parts []string
	for _, list := range [...]struct {
		name  string
		texts []string
	}{{"providers", s.GetProviders()}, {"models", s.GetModels()}, {"classes", s.GetClasses()}, {"regions", s.GetRegions()}} {
		if len(list.texts) > 0 {
			parts = append(parts, list.name+" "+strings.Join(list.texts, ","))
		}
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, "; ")
}

// change reads a key, changes it, and writes it at the revision that was read, so that nobody else's change is lost.
func (r *remote) change(ctx context.Context, street Street, id, done string, change func(*adminv1.ClientKey) error) error {
	api := r.keys()
	list, err := api.ListKeys(ctx, connect.NewRequest(&adminv1.ListKeysRequest{}))
	if err != nil {
		return err
	}
	key := &adminv1.ClientKey{}
	for _, entry := range list.Msg.GetKeys() {
		if entry.GetId() == id {
			key = entry.GetKey()
		}
	}
	if err := change(key); err != nil {
		return err
	}
	answer, err := api.UpdateKey(ctx, connect.NewRequest(&adminv1.UpdateKeyRequest{Id: id, Key: key, Revision: list.Msg.GetRevision(), Wait: true}))
	if err != nil {
		return err
	}
	if r.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "key %s is %s, revision %d%s\n", id, done, answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}

type keyUpdate struct {
	remote
	keyFlags
	ID string `arg:"" names:"key" help:"The key's id."`
}

// Run changes a key.
func (c *keyUpdate) Run(ctx context.Context, street Street) error {
	return c.change(ctx, street, c.ID, "changed", func(key *adminv1.ClientKey) error { return c.apply(key, time.Now()) })
}

type keyDisable struct {
	remote
	ID string `arg:"" names:"key" help:"The key's id."`
}

// Run disables a key.
func (c *keyDisable) Run(ctx context.Context, street Street) error {
	return c.change(ctx, street, c.ID, "disabled", func(key *adminv1.ClientKey) error { key.Disabled = true; return nil })
}

type keyEnable struct {
	remote
	ID string `arg:"" names:"key" help:"The key's id."`
}

// Run enables a key.
func (c *keyEnable) Run(ctx context.Context, street Street) error {
	return c.change(ctx, street, c.ID, "enabled", func(key *adminv1.ClientKey) error { key.Disabled = false; return nil })
}

type keyRevoke struct {
	remote
	ID string `arg:"" names:"key" help:"The key's id."`
}

// Run revokes a key.
func (c *keyRevoke) Run(ctx context.Context, street Street) error {
	answer, err := c.keys().RevokeKey(ctx, connect.NewRequest(&adminv1.RevokeKeyRequest{Id: c.ID, Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "key %s is revoked, revision %d%s\n", c.ID, answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}

type keyDelete struct {
	remote
	ID string `arg:"" names:"key" help:"The key's id."`
}

// Run deletes a key.
func (c *keyDelete) Run(ctx context.Context, street Street) error {
	answer, err := c.keys().DeleteKey(ctx, connect.NewRequest(&adminv1.DeleteKeyRequest{Id: c.ID, Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "key %s is deleted, revision %d%s\n", c.ID, answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}
