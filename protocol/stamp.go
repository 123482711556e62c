package protocol

import "slices"

// Stamp marks a signature as Python's Signature.stamp does: every task in it and
// every callback carries the stamps in its headers, and a worker's retries keep
// them. A new stamp goes before one of the same name, lists are joined. As in
// Python the body of a chord is left out: stamp it by itself.
func Stamp(s Signature, stamps Object) (Signature, error) {
	names := make([]string, len(stamps))
	for i, f := range stamps {
		names[i] = f.Name
	}
	return s.edit(func(n *node) error { return n.stamp(names, stamps) })
}

// Immutable makes a signature ignore the result of what precedes it, as Python's
// set(immutable=True): for a group each member, for a chord its header, for a
// chain its first step.
func Immutable(s Signature) (Signature, error) {
	return s.edit(func(n *node) error { n.setImmutable(); return nil })
}

func (n *node) stamp(names []string, stamps Object) error {
	allNames, all := n.withOwnStamps(names, stamps)
	if n.kind == "" {
		if err := n.stampLinks(names, stamps); err != nil {
			return err
		}
		n.opts = overlay(n.opts, all).Set("stamped_headers", allNames)
		return nil
	}
	if err := n.stampLinks(allNames, all); err != nil {
		return err
	}
	for _, t := range n.members().list {
		if err := t.stamp(allNames, all); err != nil {
			return err
		}
	}
	return nil
}

// withOwnStamps adds the stamps that a signature has already.
func (n *node) withOwnStamps(names []string, stamps Object) ([]string, Object) {
	names, stamps = slices.Clone(names), slices.Clone(stamps)
	for _, name := range stampNames(n.opts) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		own, has := n.opts.Get(name)
		if !has {
			continue
		}
		given, both := stamps.Get(name)
		if both {
			a, aok := headerValue(given).([]any)
			b, bok := headerValue(own).([]any)
			if !aok || !bok {
				continue
			}
			own = slices.Concat(a, b)
		}
		stamps = stamps.Set(name, own)
	}
	return names, stamps
}

func (n *node) stampLinks(names []string, stamps Object) error {
	for _, option := range []string{"link", "link_error"} {
		links := listOption(n.opts, option)
		for i, l := range links {
			link, err := nodeOf(l)
			if err != nil {
				return err
			}
			if err := link.stamp(names, stamps); err != nil {
				return err
			}
			links[i] = link.signature()
		}
		if len(links) > 0 {
			n.set(option, links)
		}
	}
	return nil
}
