package outline

import (
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
)

const before = `syntax = "proto3";
package p;
service S { rpc Call(A) returns (stream A); }
enum E { E_NONE = 0; E_ONE = 1; }
message A {
  int32 id = 1;
  repeated string names = 2;
  E e = 3;
  message Inner { bytes b = 1; }
  Inner inner = 4;
}
`

func outlineOf(t *testing.T, source string) []string {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{"a.proto": source})}}
	files, err := compiler.Compile(t.Context(), "a.proto")
	if err != nil {
		t.Fatal(err)
	}
	return Of(files[0])
}

func TestWhatWouldBreakAPluginIsFound(t *testing.T) {
	for _, test := range []struct{ name, old, new, gone string }{
		{"a removed field", "  int32 id = 1;\n", "", "field p.A 1 id optional int32"},
		{"a removed field whose number is reserved", "int32 id = 1;", "reserved 1;", "field p.A 1 id optional int32"},
		{"a renumbered field", "id = 1", "id = 9", "field p.A 1 id optional int32"},
		{"a renamed field", "int32 id", "int32 number", "field p.A 1 id optional int32"},
		{"another type", "int32 id", "int64 id", "field p.A 1 id optional int32"},
		{"one where there were many", "repeated string", "string", "field p.A 2 names repeated string"},
		{"a field that becomes one of several", "int32 id = 1;", "oneof which { int32 id = 1; int32 other = 8; }", "field p.A 1 id optional int32"},
		{"a removed value", " E_ONE = 1;", "", "value p.E 1 E_ONE"},
		{"a renumbered value", "E_ONE = 1", "E_ONE = 2", "value p.E 1 E_ONE"},
		{"a removed call", "rpc Call(A) returns (stream A);", "", "call p.S.Call(p.A) returns (stream p.A)"},
		{"a call that no longer streams", "stream A", "A", "call p.S.Call(p.A) returns (stream p.A)"},
		{"a field of an inner message", "bytes b", "string b", "field p.A.Inner 1 b optional bytes"},
		{"another package", "package p;", "package q;", "message p.A"},
	} {
		after := strings.Replace(before, test.old, test.new, 1)
		if after == before {
			t.Fatalf("%s: nothing changed", test.name)
		}
		if gone := Missing(outlineOf(t, before), outlineOf(t, after)); !slices.Contains(gone, test.gone) {
			t.Errorf("%s: got %q, want %q among them", test.name, gone, test.gone)
		}
	}
}

func TestWhatIsAddedBreaksNothing(t *testing.T) {
	for _, test := range []struct{ old, new string }{
		{"E e = 3;", "E e = 3; string more = 5;"},
		{"E_ONE = 1;", "E_ONE = 1; E_TWO = 2;"},
		{"rpc Call(A) returns (stream A);", "rpc Call(A) returns (stream A); rpc Other(A) returns (A);"},
		{"message A {", "message B {}\nmessage A {"},
		{"int32 id = 1;", "int32 id = 1; // with a comment"},
	} {
		after := strings.Replace(before, test.old, test.new, 1)
		if gone := Missing(outlineOf(t, before), outlineOf(t, after)); after == before || len(gone) > 0 {
			t.Errorf("%s: %q is gone", test.new, gone)
		}
	}
}
