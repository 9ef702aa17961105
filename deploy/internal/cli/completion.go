package cli

import (
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
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
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
func (c *completeCommand) Run(parsed *kong.Kong, street Street) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	last := ""
	if len(words) > 0 {
		words, last = words[:len(words)-1], words[len(words)-1]
	}
	for _, one := range candidates(parsed.Model.Node, words, last) {
		if _, err := fmt.Fprintf(street.Stdout, "%s\t%s\n", one.word, one.help); err != nil {
			return err
		}
	}
	return nil
}

// candidate is a word and what it means.
type candidate struct{ word, help string }

// candidates walks the words down the tree of commands and lists what may stand in the last place.
func candidates(node *kong.Node, words []string, last string) (all []candidate) {
	var open *kong.Flag // still wants its value
	for _, word := range words {
		switch {
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
			}
		}
	}
	add := func(word, help string) {
		if strings.HasPrefix(word, last) {
			all = append(all, candidate{word, strings.ReplaceAll(help, "\n", " ")})
		}
	}
	if open != nil {
		for _, value := range open.EnumSlice() {
			add(value, "")
		}
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
	for _, p := range node.Positional {
		for _, value := range p.EnumSlice() {
			if value != "" {
				add(value, "")
			}
		}
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
