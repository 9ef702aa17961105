// Package cli is the command line: starting aimux in each of its forms, and asking and changing a running one over the admin API.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect"
	"github.com/alecthomas/kong"
)

// Street is where the command line meets the world.
type Street struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// commands is the whole command line; kong reads it from the tags. Every setting is also AIMUX_…; a flag wins over the environment.
type commands struct {
	Up           upCommand           `cmd:"" help:"Start everything in one process: both planes, NATS, the limits' store, and synthetic providers."`
	Controlplane controlplaneCommand `cmd:"" passthrough:"" help:"Start one control plane."`
	Dataplane    dataplaneCommand    `cmd:"" passthrough:"" help:"Start one node."`
	Synthetic    syntheticCommand    `cmd:"" help:"Start the scripted provider, for trying and testing."`

	Provider   providerCommands  `cmd:"" help:"List, show, change and delete providers."`
	Key        keyCommands       `cmd:"" help:"Make, list, change and revoke client keys."`
	Team       teamCommands      `cmd:"" help:"Set, list and delete the teams that keys share limits and scopes in."`
	Auth       authCommands      `cmd:"" help:"Show and change who is let in without a key: anonymous callers, and issuers of JWTs."`
	Routing    routingCommands   `cmd:"" help:"Show and change how providers are chosen, retried and hedged."`
	Node       nodeCommands      `cmd:"" help:"Show the nodes."`
	Table      tableCommand      `cmd:"" help:"Show what the nodes route by."`
	Explain    explainCommand    `cmd:"" help:"Say where a request would go and why, without sending it."`
	Limit      limitCommands     `cmd:"" help:"List, show, change and take away limits."`
	Health     healthCommand     `cmd:"" help:"Show how every provider and model is doing."`
	Usage      usageCommand      `cmd:"" help:"Show what was used and what it cost."`
	Top        topCommand        `cmd:"" help:"Watch health and usage, live."`
	Tail       tailCommand       `cmd:"" help:"Watch requests as they end, with where they went and why."`
	Webhook    webhookCommands   `cmd:"" help:"Set, list, delete and try the webhooks that are told of transitions and alerts."`
	Token      tokenCommands     `cmd:"" help:"Make, list and revoke the tokens of the admin API."`
	Audit      auditCommand      `cmd:"" help:"Show who changed what, and check that nothing of it was touched."`
	NatsConf   natsConfCommand   `cmd:"" name:"nats-conf" help:"Write a NATS configuration in which every party may do what it needs and nothing else."`
	Completion completionCommand `cmd:"" help:"Print what makes a shell complete aimux's words: eval \"$(aimux completion bash)\", source <(aimux completion zsh), aimux completion fish | source."`
	Complete   completeCommand   `cmd:"" hidden:"" passthrough:"all" help:"Say what the last word may become."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

// Main runs the command line and returns the process's exit code: 0 for success, 1 for a failure, told in one line, 2 for wrong words.
func Main(ctx context.Context, args []string, street Street) int {
	var words commands
	exit := -1
	said := Street{Stdin: street.Stdin, Stdout: told{street.Stdout}, Stderr: told{street.Stderr}}
	parser, err := kong.New(&words,
		kong.Name("aimux"),
		kong.Description("A gateway for language-model APIs: one address for many providers, with one view of their health.\n\nThe commands that ask a running aimux find it by --admin (AIMUX_ADMIN), http://127.0.0.1:8081 unless said otherwise, and show it --token (AIMUX_TOKEN), that of this machine's own process unless said otherwise. Every command has --help, with examples where they help; those that list have -o json."),
		kong.Writers(street.Stdout, street.Stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(said),
		kong.UsageOnError(),
		kong.Vars{"admin": adminDefault},
	)
	if err != nil {
		fmt.Fprintf(street.Stderr, "aimux: %v\n", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exit >= 0 { // --help was asked for and has been given
		return exit
	}
	if err != nil {
		fmt.Fprintf(street.Stderr, "aimux: %v\n", err)
		return 2
	}
	if err := command.Run(); err != nil {
		if code, ok := errors.AsType[exitCode](err); ok {
			return int(code)
		}
		fmt.Fprintf(said.Stderr, "aimux: %s\n", plain(err))
		return 1
	}
	return 0
}

// exitCode ends a command whose words have already been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// plain takes the machinery's words off an error of the admin API: the code and the message are what a person needs.
func plain(err error) string {
	answer, ok := errors.AsType[*connect.Error](err)
	if !ok {
		return err.Error()
	}
	if answer.Code() == connect.CodeUnavailable && !connect.IsWireError(err) {
		return "the admin API does not answer (--admin or AIMUX_ADMIN says where it is): " + answer.Message()
	}
	return answer.Message()
}
