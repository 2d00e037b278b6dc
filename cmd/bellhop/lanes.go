package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
)

func newLanesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lanes",
		Short: "See what each endpoint is doing, and hold one back",
		Example: `  bellhop lanes list
  bellhop lanes pause https://crm.example.com
  bellhop lanes resume https://crm.example.com`,
	}
	cmd.AddCommand(newLanesListCmd(a), newLaneHoldCmd(a, true), newLaneHoldCmd(a, false))
	return cmd
}

func newLanesListCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the endpoints with what is in flight, queued and waiting, and until when they are paused",
		Long: `List shows each endpoint (scheme, host and port) that the daemon asked has called or holds back: what is in flight and queued
in that daemon, and what waits on the bus for any.`,
		Example: `  bellhop lanes list
  bellhop lanes list -o json --address http://127.0.0.1:8420`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.settings()
			if err != nil {
				return err
			}
			c, err := dial.client(settings)
			if err != nil {
				return err
			}
			var list api.LaneList
			if err := c.get(cmd.Context(), api.LanesPath, &list); err != nil {
				return err
			}
			if out.json() {
				return printJSON(a.stdout, list.Items)
			}
			rows := [][]string{{"ENDPOINT", "IN FLIGHT", "QUEUED", "WAITING", "PAUSED"}}
			for _, l := range list.Items {
				rows = append(rows, []string{
					l.Endpoint, fmt.Sprintf("%d of %d", l.InFlight, l.Concurrency), strconv.Itoa(l.Queued),
					strconv.FormatUint(l.Waiting, 10), pausedText(l),
				})
			}
			return table(a.stdout, rows)
		},
	}
	out.register(cmd)
	dial.register(cmd)
	return cmd
}

// pausedText says until when a lane is paused.
func pausedText(l api.Lane) string {
	switch {
	case l.Paused:
		return "until resumed"
	case l.PausedUntil != nil:
		return "until " + l.PausedUntil.Local().Format(time.DateTime)
	}
	return "-"
}

func newLaneHoldCmd(a *app, pause bool) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "pause ENDPOINT",
		Short: "Hold an endpoint back on every daemon until it is resumed; nothing is lost or counted",
		Example: `  bellhop lanes pause https://crm.example.com
  bellhop lanes pause http://10.0.0.7:8080/hooks`,
		Args: countArgs(1, 1, "one ENDPOINT"),
	}
	path, word := api.PausePath, "paused"
	if !pause {
		cmd.Use, cmd.Short = "resume ENDPOINT", "Let an endpoint's deliveries go out again"
		cmd.Example = `  bellhop lanes resume https://crm.example.com`
		path, word = api.ResumePath, "resumed"
	}
	cmd.Long = cmd.Short + `.

The endpoint is a URL; its scheme, host and port count, and everything sent there is meant. The word is kept on the bus: daemons
that start later, or restart, heed it too.`
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings, err := a.settings()
		if err != nil {
			return err
		}
		c, err := dial.client(settings)
		if err != nil {
			return err
		}
		var lane api.Lane
		if err := c.post(cmd.Context(), path, api.LaneRef{Endpoint: args[0]}, &lane); err != nil {
			return err
		}
		if out.json() {
			return printJSON(a.stdout, lane)
		}
		fmt.Fprintf(a.stdout, "%s %s\n", lane.Endpoint, word)
		return nil
	}
	out.register(cmd)
	dial.register(cmd)
	return cmd
}
