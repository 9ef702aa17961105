package route

import (
	"fmt"
	"slices"
	"strings"
)

// Terms are what a caller may use, as operators and issuers write it down; an empty list means everything.
type Terms struct {
	// Providers by id, and Regions of providers.
	Providers, Regions []string
	// Models as callers name them; a trailing '*' stands for any ending.
	Models  []string
	Classes []Class
}

// Scope is what a caller may use of one catalog: what all the terms allow that went into it. Nil allows everything. Immutable.
type Scope struct {
	// providers that may serve; limited says that they are not all.
	providers [ProvidersMax / 64]uint64
	limited   bool
	// classes as bits; models are lists of which each must have the name.
	classes uint64
	models  [][]string
	// terms for people, the innermost last.
	terms []Terms
}

// allClasses are the bits of every class.
const allClasses = 1<<Classes - 1

// Narrow makes the scope of who may use what outer allows, and of that only what the terms say.
func (t *Table) Narrow(outer *Scope, terms Terms) *Scope { return t.narrow(outer, terms) }

func (c *catalog) narrow(outer *Scope, terms Terms) *Scope {
	if len(terms.Providers)+len(terms.Regions)+len(terms.Models)+len(terms.Classes) == 0 {
		return outer
	}
	s := &Scope{classes: allClasses, terms: []Terms{terms}}
	if outer != nil {
		*s = *outer
		s.models, s.terms = slices.Clone(outer.models), append(slices.Clone(outer.terms), terms)
	}
	if len(terms.Classes) > 0 {
		var only uint64
		for _, class := range terms.Classes {
			only |= 1 << class
		}
		s.classes &= only
	}
	if len(terms.Models) > 0 {
		s.models = append(s.models, terms.Models)
	}
	if len(terms.Providers)+len(terms.Regions) > 0 {
		c.confine(s, terms)
	}
	return s
}

// confine takes out of a scope all providers but those of the terms.
func (c *catalog) confine(s *Scope, terms Terms) {
	var only [ProvidersMax / 64]uint64
	for i := range c.providers {
		p := &c.providers[i]
		if (len(terms.Providers) == 0 || slices.Contains(terms.Providers, p.ID)) && (len(terms.Regions) == 0 || slices.Contains(terms.Regions, p.Region)) {
			only[i>>6] |= 1 << (i & 63)
		}
	}
	for i := range only {
		if s.limited {
			only[i] &= s.providers[i]
		}
	}
	s.providers, s.limited = only, true
}

// Provider reports whether the provider of that index may serve.
func (s *Scope) Provider(i int) bool {
	return s == nil || !s.limited || s.providers[i>>6]&(1<<(i&63)) != 0
}

// Model reports whether a model may be asked for by that name.
func (s *Scope) Model(name string) bool {
	if s == nil {
		return true
	}
	for _, list := range s.models {
		if !slices.ContainsFunc(list, func(pattern string) bool { return ends(pattern, name) }) {
			return false
		}
	}
	return true
}

// ends reports whether a name is the pattern's, or where the pattern ends with '*', begins with it.
func ends(pattern, name string) bool {
	if head, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(name, head)
	}
	return pattern == name
}

func (s *Scope) class(c Class) bool { return s == nil || s.classes&(1<<c) != 0 }

// Permits is the verdict on what an Ask asks for by its model's name and its class, by the caller's scope alone. Which providers may serve
// it shows when they are picked.
func (t *Table) Permits(ask *Ask) Verdict {
	s := ask.Scope
	if s == nil {
		return Verdict{}
	}
	v := Verdict{Outcome: NotPermitted, model: ask.Model}
	switch {
	case !s.Model(ask.Model) && !t.permitsPinned(s, ask.Model):
		v.barred = fmt.Sprintf("this key may not use model %q; it may use %s", ask.Model, s.allowed("models", Terms.models))
	case ask.Further && len(s.models) > 0:
		v.barred = "this key may not leave the choice among further models to the provider; it may use " + s.allowed("models", Terms.models)
	case !s.class(ask.Class):
		v.barred = fmt.Sprintf("this key may not send requests of class %q, which this is; it may send %s", ask.Class, s.allowed("classes", Terms.classes))
	default:
		return Verdict{}
	}
	return v
}

// permitsPinned reports whether a name is a provider's with a model of that provider behind it that may be asked for. An id of somebody else's that
// only looks so must be in the scope itself.
func (t *Table) permitsPinned(s *Scope, name string) bool {
	provider, rest, pinned := t.pinned(name)
	if !pinned || !s.Model(rest) {
		return false
	}
	return len(t.names.exact[name]) == 0 || t.names.serves(rest, int32(provider))
}

// barredAll says that nobody who serves the model is in the scope.
func (s *Scope) barredAll(model string) string {
	parts := make([]string, 0, 2)
	if text := s.allowed("providers", Terms.providers); text != "" {
		parts = append(parts, text)
	}
	if text := s.allowed("providers in", Terms.regions); text != "" {
		parts = append(parts, text)
	}
	return fmt.Sprintf("model %q is served by no provider that this key may use; it may use %s", model, strings.Join(parts, ", and of those "))
}

func (t Terms) models() []string    { return t.Models }
func (t Terms) providers() []string { return t.Providers }
func (t Terms) regions() []string   { return t.Regions }
func (t Terms) classes() (names []string) {
	for _, c := range t.Classes {
		names = append(names, c.String())
	}
	return names
}

// shownMax bounds how many names of a list are told.
const shownMax = 16

// allowed tells one list of every terms.
func (s *Scope) allowed(what string, of func(Terms) []string) string {
	if s == nil {
		return "all"
	}
	var texts []string
	for _, terms := range s.terms {
		list := of(terms)
		if len(list) == 0 {
			continue
		}
		text := what + " " + strings.Join(list[:min(len(list), shownMax)], ", ")
		if len(list) > shownMax {
			text += fmt.Sprintf(" and %d more", len(list)-shownMax)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", and of those ")
}
