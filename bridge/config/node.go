package config

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// kind is the kind of a node.
type kind int

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindFloat
	kindString
	kindList
	kindMap
	kindRefused // replaces a value that was reported
)

// String names the kind for an error: "a list".
func (k kind) String() string {
	switch k {
	case kindNull:
		return "null"
	case kindBool:
		return "a boolean"
	case kindInt, kindFloat:
		return "a number"
	case kindString:
		return "a string"
	case kindList:
		return "a list"
	case kindMap:
		return "a mapping"
	default:
		return "unknown"
	}
}

// node is a value of the file. It is the parser's tree without the features that a configuration does
// not use, so that the decoder handles only these kinds.
type node struct {
	kind kind
	at   position
	// text is the scalar without quotes and with escapes resolved.
	text string
	// plain says that the scalar is not quoted.
	plain bool
	// items are a list's elements.
	items []*node
	// entries are a mapping's keys and values in file order, including duplicates.
	entries []entry
}

// has reports whether a mapping has a key.
func (n *node) has(key string) bool {
	return slices.ContainsFunc(n.entries, func(e entry) bool { return e.key == key })
}

type entry struct {
	key   string
	keyAt position
	value *node
}

// at returns the position for errors about an entry's value: its start if it is on the key's line, else
// the key.
func (e entry) at() position {
	if e.value.at.line == e.keyAt.line {
		return e.value.at
	}
	return e.keyAt
}

// tree converts the parser's tree to nodes and refuses the features that a configuration does not use.
type tree struct {
	src  *source
	errs Errors
}

// refuse records an error and returns the node that replaces the refused value.
func (t *tree) refuse(at position, message string) *node {
	t.errs = append(t.errs, t.src.errorAt(at, "", message))
	return &node{kind: kindRefused, at: at}
}

// node converts n. maxDepth, checked before the parser ran, bounds the recursion.
func (t *tree) node(n ast.Node) *node {
	at := positionOf(n)
	scalar := func(k kind) *node {
		return &node{kind: k, at: at, text: n.GetToken().Value, plain: true}
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return scalar(kindNull)
	case *ast.BoolNode:
		return scalar(kindBool)
	case *ast.IntegerNode:
		return scalar(kindInt)
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return scalar(kindFloat)
	case *ast.StringNode:
		plain := n.Token.Type != token.SingleQuoteType && n.Token.Type != token.DoubleQuoteType
		return &node{kind: kindString, at: at, text: n.Value, plain: plain}
	case *ast.LiteralNode:
		return &node{kind: kindString, at: at, text: n.Value.Value}
	case *ast.SequenceNode:
		return t.list(n, at)
	case *ast.MappingNode:
		return t.mapping(n.Values, at)
	case *ast.MappingValueNode:
		return t.mapping([]*ast.MappingValueNode{n}, at)
	case *ast.AnchorNode, *ast.AliasNode:
		return t.refuse(at, "anchors and aliases are not allowed; write the value out")
	case *ast.TagNode:
		return t.refuse(at, "tags are not allowed; remove it")
	default:
		return t.refuse(at, "this YAML is not allowed in a configuration")
	}
}

func (t *tree) list(n *ast.SequenceNode, at position) *node {
	list := &node{kind: kindList, at: at}
	for _, value := range n.Values {
		list.items = append(list.items, t.node(value))
	}
	return list
}

func (t *tree) mapping(values []*ast.MappingValueNode, at position) *node {
	mapping := &node{kind: kindMap, at: at}
	for i, value := range values {
		keyAt := positionOf(value.Key)
		if i == 0 && at.line == keyAt.line && at.column > keyAt.column {
			mapping.at = keyAt // the parser's position is the first colon
		}
		if key := t.key(value.Key, keyAt); key.kind != kindRefused {
			mapping.entries = append(mapping.entries, entry{key: key.text, keyAt: keyAt, value: t.node(value.Value)})
		}
	}
	return mapping
}

// key returns a mapping's key as a scalar.
func (t *tree) key(n ast.MapKeyNode, at position) *node {
	switch n.(type) {
	case *ast.MergeKeyNode:
		return t.refuse(at, "merge keys are not allowed; write the keys out")
	case *ast.MappingKeyNode:
		return t.refuse(at, `a key is written as "key: value", without "?"`)
	case *ast.StringNode, *ast.NullNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return t.node(n)
	default:
		return t.refuse(at, "a key must be a plain word or a string in quotes")
	}
}

// positionOf returns the start of n.
func positionOf(n ast.Node) position {
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return position{tk.Position.Line, tk.Position.Column}
	}
	return position{1, 1}
}
