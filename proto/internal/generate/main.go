// Command generate makes package pluginv1 from plugin.proto, and refuses to where that would break plugins. It runs in the folder that holds plugin.proto.
//
// It does the work of protoc with the compiler of github.com/bufbuild/protocompile and the code generators that go.mod pins as tools, so
// that nobody needs to install anything, and everybody gets the same bytes.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/postrider/postrider/proto/internal/outline"
)

const (
	source = "plugin.proto"
	target = "pluginv1"
	golden = "testdata/protocol.golden"
)

func main() {
	if err := generate(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context) error {
	compiled, err := compile(ctx)
	if err != nil {
		return err
	}
	if err := record(compiled); err != nil {
		return err
	}
	file := protoutil.ProtoFromFileDescriptor(compiled)
	for _, tool := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := run(ctx, tool, file); err != nil {
			return fmt.Errorf("%s: %w", tool, err)
		}
	}
	return nil
}

// compile keeps the comments: the generators copy them.
func compile(ctx context.Context) (protoreflect.FileDescriptor, error) {
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	files, err := compiler.Compile(ctx, source)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// record writes down what plugins depend on from now on. What they depend on already must still be there.
func record(file protoreflect.FileDescriptor) error {
	before, err := os.ReadFile(golden)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := outline.Of(file)
	if gone := outline.Missing(strings.Split(string(before), "\n"), lines); len(gone) > 0 {
		return fmt.Errorf("plugins that are installed already would break; leave this as it is and add beside it, or begin version 2 of the protocol:\n  %s",
			strings.Join(gone, "\n  "))
	}
	return os.WriteFile(golden, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// run gives the file to one generator in the way that protoc does: a request on standard input, a response on standard output.
func run(ctx context.Context, tool string, file *descriptorpb.FileDescriptorProto) error {
	request, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{source},
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      []*descriptorpb.FileDescriptorProto{file},
	})
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "go", "tool", tool)
	command.Stdin = bytes.NewReader(request)
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, f := range response.GetFile() {
		if err := os.WriteFile(filepath.Join(target, f.GetName()), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
