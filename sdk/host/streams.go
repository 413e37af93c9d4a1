package host

import (
	"google.golang.org/grpc"

	"github.com/postrider/postrider/proto/pluginv1"
)

// itemOverhead is what a request has beside its JSON, about, in bytes.
const itemOverhead = 256

func resolveStream(s grpc.BidiStreamingClient[pluginv1.ResolveRequests, pluginv1.ResolveAnswers],
) stream[*pluginv1.ResolveRequest, *pluginv1.ResolveAnswer] {
	return stream[*pluginv1.ResolveRequest, *pluginv1.ResolveAnswer]{
		send: func(requests []*pluginv1.ResolveRequest, cancelled []uint64) error {
			return s.Send(&pluginv1.ResolveRequests{Requests: requests, Cancelled: cancelled})
		},
		receive: func() ([]*pluginv1.ResolveAnswer, error) {
			m, err := s.Recv()
			return m.GetAnswers(), err
		},
		size: func(q *pluginv1.ResolveRequest) int { return len(q.GetArguments()) + itemOverhead },
		id:   (*pluginv1.ResolveAnswer).GetId,
	}
}

func notifyStream(s grpc.BidiStreamingClient[pluginv1.NotifyRequests, pluginv1.NotifyAnswers],
) stream[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer] {
	return stream[*pluginv1.NotifyRequest, *pluginv1.NotifyAnswer]{
		send: func(requests []*pluginv1.NotifyRequest, cancelled []uint64) error {
			return s.Send(&pluginv1.NotifyRequests{Requests: requests, Cancelled: cancelled})
		},
		receive: func() ([]*pluginv1.NotifyAnswer, error) {
			m, err := s.Recv()
			return m.GetAnswers(), err
		},
		size: func(q *pluginv1.NotifyRequest) int { return len(q.GetPayload()) + len(q.GetSettings()) + itemOverhead },
		id:   (*pluginv1.NotifyAnswer).GetId,
	}
}
