package wire

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // to be compared with
	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/proto/pluginv1"
)

func TestMessagesAreWrittenAsGRPCWritesThemInBuffersOfAboutTheirSize(t *testing.T) {
	ours, theirs := NewCodec(), encoding.GetCodecV2("proto")
	for _, size := range []int{0, 10, 1000, 1500, 5000, 40_000, 70_000, 300_000, batchSize + 100, MaxItem} {
		message := &pluginv1.NotifyRequests{Requests: []*pluginv1.NotifyRequest{{Id: 7, Payload: bytes.Repeat([]byte("x"), size)}}}
		for range 2 { // the second time in the same buffer
			written, err := ours.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			want, err := theirs.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(written.Materialize(), want.Materialize()) {
				t.Errorf("a payload of %d bytes is written in another way than gRPC does it", size)
			}
			if took := cap(written[0].ReadOnlyData()); took > 2*written.Len()+2048 {
				t.Errorf("%d bytes are written into a buffer of %d", written.Len(), took)
			}
			var read pluginv1.NotifyRequests
			if err := ours.Unmarshal(written, &read); err != nil || !proto.Equal(&read, message) {
				t.Errorf("a payload of %d bytes is not read as it was written: %v", size, err)
			}
			written.Free()
			want.Free()
		}
	}
}

func TestOnlyMessagesOfProtobufAreWrittenAndRead(t *testing.T) {
	c := NewCodec()
	if _, err := c.Marshal("text"); err == nil {
		t.Error("a string was written")
	}
	if err := c.Unmarshal(nil, new(string)); err == nil {
		t.Error("a string was read")
	}
}
