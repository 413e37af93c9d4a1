package host

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/postrider/postrider/proto/pluginv1"
	"github.com/postrider/postrider/sdk"
	"github.com/postrider/postrider/sdk/internal/wire"
)

// descriptionFrom reads a description off the wire, and refuses one that makes no sense: plugins in other languages don't have the SDK's
// checks.
func descriptionFrom(r *pluginv1.DescribeResponse) (Description, error) {
	d := Description{
		Name:           r.GetName(),
		Version:        r.GetVersion(),
		MaxInFlight:    int(r.GetMaxInFlight()),
		ConfigSchema:   r.GetConfigurationSchema(),
		SettingsSchema: r.GetSettingsSchema(),
	}
	switch r.GetRole() {
	case pluginv1.Role_ROLE_RESOLVER:
		d.Role = RoleResolver
	case pluginv1.Role_ROLE_NOTIFIER:
		d.Role = RoleNotifier
	default:
		return d, fmt.Errorf("its role is %v: it must be a resolver or a notifier", r.GetRole())
	}
	if !wire.IsName(d.Name) {
		return d, fmt.Errorf("its name is %q: it must consist of letters, digits, \"-\" and \"_\"", d.Name)
	}
	if d.MaxInFlight < 1 || d.MaxInFlight > wire.MaxInFlight {
		return d, fmt.Errorf("its max_in_flight is %d: it must be 1 to %d", d.MaxInFlight, wire.MaxInFlight)
	}
	if err := checkSchema("configuration", d.ConfigSchema); err != nil {
		return d, err
	}
	if err := checkSchema("settings", d.SettingsSchema); err != nil {
		return d, err
	}
	var err error
	d.Services, err = servicesFrom(r.GetServices())
	return d, err
}

// servicesFrom reads the services that a resolver offers.
func servicesFrom(list []*pluginv1.Service) (services []Service, err error) {
	for _, s := range list {
		service := Service{Class: s.GetClass(), Method: s.GetMethod(), Description: s.GetDescription(), Arguments: s.GetArgumentsSchema()}
		if service.Class == "" || service.Method == "" {
			return nil, fmt.Errorf("it offers a service with the class %q and the method %q: both must say something", service.Class, service.Method)
		}
		if err := checkSchema(service.Class+"::"+service.Method, service.Arguments); err != nil {
			return nil, err
		}
		services = append(services, service)
	}
	return services, nil
}

func checkSchema(of string, raw []byte) error {
	if _, err := ParseSchema(raw); err != nil {
		return fmt.Errorf("the schema of its %s is %w", of, err)
	}
	return nil
}

// requestLimits refuses what must not be written to a stream, because the stream would break: text that protobuf doesn't take, and sizes.
func requestLimits(request proto.Message, payload []byte, texts ...string) error {
	if len(payload) > sdk.MaxPayload {
		return fmt.Errorf("%d bytes of JSON, of which %d may cross: %w", len(payload), sdk.MaxPayload, ErrTooLarge)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return errors.New("a text that goes with it is not valid UTF-8") // it may be the token, or a URL: neither is for logs
		}
	}
	if size := proto.Size(request); size > wire.MaxItem {
		return fmt.Errorf("a request of %d bytes: %w", size, ErrTooLarge)
	}
	return nil
}

// remaining returns how long the plugin may take, in milliseconds; 0: without end.
func remaining(ctx context.Context, grace time.Duration) int64 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	left := time.Until(deadline)
	left -= min(grace, left/10)
	return max(left.Milliseconds(), 1)
}

func notifyRequest(d sdk.Delivery) *pluginv1.NotifyRequest {
	return &pluginv1.NotifyRequest{
		DeliveryId: d.ID,
		Attempt:    int32(d.Attempt),
		Event:      d.Event,
		EventId:    d.EventID,
		TimeMs:     d.Time.UnixMilli(),
		Payload:    d.Payload,
		Subscriber: d.Subscriber,
		Url:        d.URL,
		Token:      d.Token,
		Settings:   d.Settings,
		Envelope:   d.Envelope,

		EarlierTokens: d.EarlierTokens,
	}
}

// maxRetryAfterMs is the SDK's limit too; plugins in other languages don't have that.
const maxRetryAfterMs = int64(time.Hour / time.Millisecond)

// outcomeFrom reads an outcome off the wire.
func outcomeFrom(o *pluginv1.Outcome) (sdk.Outcome, error) {
	status := sdk.Status(o.GetStatus()) // the numbers are the same
	if status < sdk.StatusDelivered || status > sdk.StatusRejected {
		return sdk.Outcome{}, fmt.Errorf("Notify: answered with the status %v, which says nothing", o.GetStatus())
	}
	return sdk.Outcome{
		Status:     status,
		Code:       int(o.GetCode()),
		Reason:     o.GetReason(),
		Excerpt:    o.GetExcerpt(),
		RetryAfter: time.Duration(min(max(o.GetRetryAfterMs(), 0), maxRetryAfterMs)) * time.Millisecond,
		Gone:       o.GetGone(),
	}, nil
}

// errorFrom reads a failure off the wire.
func errorFrom(plugin string, f *pluginv1.Failure) *PluginError {
	e := &PluginError{Plugin: plugin, Message: f.GetMessage()}
	switch f.GetKind() {
	case pluginv1.Failure_KIND_PERMANENT:
		e.Permanent = true
	case pluginv1.Failure_KIND_INVALID_ARGUMENTS:
		e.Permanent, e.InvalidArguments = true, true
	case pluginv1.Failure_KIND_TOO_LARGE:
		e.Permanent, e.cause = true, ErrTooLarge
	case pluginv1.Failure_KIND_CANCELLED:
		e.cause = context.DeadlineExceeded // had the daemon cancelled it, nobody would read this
	}
	return e
}
