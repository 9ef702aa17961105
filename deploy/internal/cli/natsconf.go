package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/aimux/aimux/shared/bus"
)

// natsConfCommand writes a NATS configuration in which every party may do what it needs and nothing else.
type natsConfCommand struct {
	Controlplanes []string `help:"The control planes' ids, as NAME or NAME@REGION." required:"" placeholder:"ID"`
	Nodes         []string `help:"The nodes' ids, as NAME or NAME@REGION." required:"" placeholder:"ID"`
	Dir           string   `help:"Where nats.conf and a seed for each party (NAME.nk) are written; seeds that are there stay." required:"" placeholder:"DIR"`
	Cluster       string   `help:"The cluster's name." default:"local"`
	Listen        string   `help:"Where NATS listens." default:"127.0.0.1:4222" placeholder:"ADDR"`
	Store         string   `help:"The directory of JetStream; default: DIR/jetstream." placeholder:"DIR"`
	TLSCert       string   `name:"tls-cert" help:"The server's certificate." placeholder:"FILE"`
	TLSKey        string   `name:"tls-key" help:"Its key." placeholder:"FILE"`
	TLSCA         string   `name:"tls-ca" help:"Authorities of the parties' certificates; every party then needs one." placeholder:"FILE"`
}

// regionDefault is that of planes that are told of none.
const regionDefault = "local"

// Run writes the files.
func (c *natsConfCommand) Run(street Street) error {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	var users strings.Builder
	for _, role := range []struct {
		parties []string
		needs   func(cluster, region, name string) bus.Permissions
	}{{c.Controlplanes, bus.ControlPlanePermissions}, {c.Nodes, bus.NodePermissions}} {
		for _, party := range role.parties {
			name, region, found := strings.Cut(party, "@")
			if !found {
				region = regionDefault
			}
			public, err := seed(filepath.Join(c.Dir, name+".nk"))
			if err != nil {
				return err
			}
			user(&users, name, public, role.needs(c.Cluster, region, name))
		}
	}
	path := filepath.Join(c.Dir, "nats.conf")
	if err := os.WriteFile(path, []byte(c.text(users.String())), 0o600); err != nil {
		return err
	}
	_, err := fmt.Fprintf(street.Stdout, "%s: nats-server -c takes it; each party's --nats-nkey is %s\n", path, filepath.Join(c.Dir, "ID.nk"))
	return err
}

func (c *natsConfCommand) text(users string) string {
	store := c.Store
	if store == "" {
		store = filepath.Join(c.Dir, "jetstream")
	}
	tls := ""
	if c.TLSCert != "" {
		tls = fmt.Sprintf("tls {\n  cert_file: %q\n  key_file: %q\n", c.TLSCert, c.TLSKey)
		if c.TLSCA != "" {
			tls += fmt.Sprintf("  ca_file: %q\n  verify: true\n", c.TLSCA)
		}
		tls += "}\n"
	}
	return fmt.Sprintf(`# NATS for the aimux cluster %q, written by aimux nats-conf. Nobody comes in without a key, and nobody may speak or listen beyond what
# he needs: a node's key does not publish tables, and does not reach the catalog. There is no listener but the clients'.
listen: %q
max_payload: 4MB
write_deadline: "2s"
%sjetstream {
  store_dir: %q
  max_memory_store: 64MB
  max_file_store: 1GB
  # The default syncs every two minutes and loses what was acknowledged since when the power fails.
  sync_interval: always
}
accounts {
  AIMUX {
    jetstream: enabled
    users: [
%s    ]
  }
}
`, c.Cluster, c.Listen, tls, store, users)
}

// user writes one party's login and what it may do.
func user(out *strings.Builder, name, public string, may bus.Permissions) {
	fmt.Fprintf(out, "      # %s\n      { nkey: %s, permissions: {\n        publish: [%s]\n        subscribe: [%s]\n", name, public, quoted(may.Publish), quoted(may.Subscribe))
	if may.Answers {
		out.WriteString("        allow_responses: { max: 1, expires: \"1m\" }\n")
	}
	out.WriteString("      } }\n")
}

func quoted(subjects []string) string {
	all := make([]string, len(subjects))
	for i, subject := range subjects {
		all[i] = strconv.Quote(subject)
	}
	return strings.Join(all, ", ")
}

// seed returns the public key of the seed in the file, which is made if it is not there.
func seed(path string) (public string, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(text))))
		if err != nil {
			return "", fmt.Errorf("%q holds no nkey seed: %w", path, err)
		}
		return pair.PublicKey()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	secret, err := pair.Seed()
	if err == nil {
		err = os.WriteFile(path, append(secret, '\n'), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("making %q: %w", path, err)
	}
	return pair.PublicKey()
}
