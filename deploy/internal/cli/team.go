package cli

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	adminv1 "github.com/aimux/aimux/proto/gen/aimux/admin/v1"
)

type teamCommands struct {
	Set    teamSet    `cmd:"" help:"Create a team or change one: what is not said stays; an empty value takes a setting back."`
	List   teamList   `cmd:"" help:"List the teams."`
	Delete teamDelete `cmd:"" help:"Delete a team that no key is of."`
}

type teamSet struct {
	remote
	scopeFlags
	ID   string  `arg:"" names:"team" help:"The team's id."`
	Name *string `help:"Its name, for people."`
}

// Run sets a team at the revision that was read, so that nobody else's change is lost.
func (c *teamSet) Run(ctx context.Context, street Street) error {
	api := c.keys()
	list, err := api.ListTeams(ctx, connect.NewRequest(&adminv1.ListTeamsRequest{}))
	if err != nil {
		return err
	}
	team := &adminv1.Team{}
	for _, entry := range list.Msg.GetTeams() {
		if entry.GetId() == c.ID {
			team = entry.GetTeam()
		}
	}
	if c.Name != nil {
		team.Name = *c.Name
	}
	if err := c.apply(&team.Scope, &team.Limits); err != nil {
		return err
	}
	answer, err := api.SetTeam(ctx, connect.NewRequest(&adminv1.SetTeamRequest{Id: c.ID, Team: team, Revision: list.Msg.GetRevision(), Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "team %s is set, revision %d%s\n", c.ID, answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}

type teamList struct{ remote }

// Run lists the teams.
func (c *teamList) Run(ctx context.Context, street Street) error {
	answer, err := c.keys().ListTeams(ctx, connect.NewRequest(&adminv1.ListTeamsRequest{}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	rows := [][]string{{"ID", "NAME", "KEYS", "MAY USE", "LIMITS"}}
	for _, entry := range answer.Msg.GetTeams() {
		team := entry.GetTeam()
		rows = append(rows, []string{entry.GetId(), orDash(team.GetName()), fmt.Sprint(entry.GetKeys()), scopeText(team.GetScope()), inWords(team.GetLimits())})
	}
	return grid(street.Stdout, rows)
}

type teamDelete struct {
	remote
	ID string `arg:"" names:"team" help:"The team's id."`
}

// Run deletes a team.
func (c *teamDelete) Run(ctx context.Context, street Street) error {
	answer, err := c.keys().DeleteTeam(ctx, connect.NewRequest(&adminv1.DeleteTeamRequest{Id: c.ID, Wait: true}))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(street.Stdout, answer.Msg)
	}
	return tell(street.Stdout, "team %s is deleted, revision %d%s\n", c.ID, answer.Msg.GetRevision(), reached(answer.Msg.GetReach()))
}
