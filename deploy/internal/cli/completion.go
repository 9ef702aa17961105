package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// The scripts ask aimux itself what may come next, so they know what this build knows.
const (
	bashScript = `_aimux() {
  local IFS=$'\n' last="${COMP_WORDS[COMP_CWORD]}"
  [ "$last" = = ] && last=
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" -- "$last"))
  [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *[=/] ]] && compopt -o nospace
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//:} # models have them in their names
complete -o default -F _aimux aimux
`
	zshScript = `#compdef aimux
_aimux() {
  local -a found
  local name help
  while IFS=$'\t' read -r name help; do found+=("${name//:/\\:}:$help"); done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe aimux found || _files
}
compdef _aimux aimux
`
	fishScript = `function __aimux_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] complete -- $words[2..-1] 2>/dev/null
end
complete -c aimux -f -a '(__aimux_complete)'
`
)

// Run prints the script for a shell.
func (c *completionCommand) Run(street Street) error {
	_, err := io.WriteString(street.Stdout, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell])
	return err
}

type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:"all"`
}

// Run prints what the last word may become, a line each, with its help behind a tab.
func (c *completeCommand) Run(ctx context.Context, parsed *kong.Kong, street Street) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	last := ""
	if len(words) > 0 {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	for _, one := range candidates(parsed.Model.Node, words, last, func(kind string) []string { return askNames(ctx, words, kind) }) {
		if _, err := fmt.Fprintf(street.Stdout, "%s\t%s\n", one.word, one.help); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a word and what it means.
type candidate struct{ word, help string }

// candidates walks the words down the tree of commands and lists what may stand in the last place. names are those of the running aimux, by
// the kind that a tag says.
func candidates(node *kong.Node, words []string, last string, names func(kind string) []string) (all []candidate) {
	var open *kong.Flag // still wants its value
	place := 0          // of the next positional word
	for _, word := range words {
		switch {
		case open != nil && word == "=": // bash makes a word of it
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			name, _, valued := strings.Cut(word, "=")
			if f := flagOf(node, name); f != nil && !f.IsBool() && !valued {
				open = f
			}
		default:
			if i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == word }); i >= 0 {
				node = node.Children[i]
			} else {
				place++
			}
		}
	}
	add := func(word, help string) {
		if strings.HasPrefix(word, last) {
			all = append(all, candidate{word, strings.ReplaceAll(help, "\n", " ")})
		}
	}
	values := func(v *kong.Value) {
		before := "" // of a list, what stands there already
		if v.IsSlice() {
			before = last[:strings.LastIndexByte(last, ',')+1]
		}
		kind := v.Tag.Get("names")
		if kind == "setting" { // of what the command is about
			kind = node.Parent.Name + "-setting"
		}
		for _, value := range append(v.EnumSlice(), names(kind)...) {
			if value != "" {
				add(before+value, "")
			}
		}
	}
	if name, value, valued := strings.Cut(last, "="); valued && strings.HasPrefix(last, "--") && open == nil {
		open, last = flagOf(node, name), value // a shell that makes no words of it wants the whole
		if open == nil {
			return nil
		}
		values(open.Value)
		for i := range all {
			all[i].word = name + "=" + all[i].word
		}
		return all
	}
	if last == "=" {
		last = ""
	}
	if open != nil {
		values(open.Value)
		return all
	}
	if strings.HasPrefix(last, "-") {
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				add("--"+f.Name, f.Help)
			}
		}
		return all
	}
	for _, child := range node.Children {
		if !child.Hidden {
			add(child.Name, child.Help)
		}
	}
	if n := len(node.Positional); n > 0 && (place < n || node.Positional[n-1].IsSlice()) {
		values(node.Positional[min(place, n-1)])
	}
	return all
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if word == "--"+f.Name || f.Short != 0 && word == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}
