package tokenauthority

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Error is why a call was not answered. From Authenticate it always means "not decided", never that a key is bad. It
// holds no key.
//
// It is not a status of grpc-go, so that a service which returns it by mistake does not answer its own caller with the
// authority's code.
type Error struct {
	// RPC is the method, such as "Authenticate".
	RPC string
	// Code is Unavailable where the authority could not be reached in time, DeadlineExceeded where it did not answer in
	// time, and Canceled where the context was. What something in this program returned, such as an interceptor, is
	// Internal.
	Code codes.Code
	// Reason is that of the google.rpc.ErrorInfo, such as "FIELD_INVALID". Empty where the error does not come from the
	// authority.
	Reason string
	// Field is the field that is at fault, or empty.
	Field string
	// Message is for people.
	Message string
	// Metadata is that of the google.rpc.ErrorInfo.
	Metadata map[string]string
	// RequestID is, for Create and RotateKey, what was sent as request_id. After an outage the key may exist: the same
	// request and this id answers it, for 24 hours.
	RequestID string
	// ofProgram: nothing between this program and the authority is at fault.
	ofProgram bool
	// context is how it ended, or nil.
	context error
}

// Error names the RPC, the code, the reason and the message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("tokenauthority: %s: %s: %s", e.RPC, e.Code, e.Message)
	}
	return fmt.Sprintf("tokenauthority: %s: %s, %s: %s", e.RPC, e.Code, e.Reason, e.Message)
}

// IsMistake tells a fault of the program or of its setting up, which asking again does not mend, from an outage.
func (e *Error) IsMistake() bool {
	if e.ofProgram {
		return true
	}
	switch e.Code {
	case codes.InvalidArgument, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.FailedPrecondition,
		codes.NotFound, codes.AlreadyExists, codes.OutOfRange:
		return true
	default:
		return false
	}
}

// Unwrap makes errors.Is find context.DeadlineExceeded and context.Canceled, where the call ended because of them.
func (e *Error) Unwrap() error {
	switch {
	case e.Code == codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case e.Code == codes.Canceled:
		return context.Canceled
	default:
		return e.context
	}
}

func newError(ctx context.Context, rpc string, request proto.Message, cause error) *Error {
	from := status.Convert(cause)
	failure := &Error{RPC: rpc, Code: from.Code(), Message: from.Message(), context: ctx.Err()}
	if _, ok := status.FromError(cause); !ok {
		// No peer and no network says anything but a status. Its own words may quote a value.
		failure.Code, failure.ofProgram = codes.Internal, true
		failure.Message = fmt.Sprintf("this program failed, not the authority: %T", cause)
	}
	if identified, ok := request.(interface{ GetRequestId() string }); ok {
		failure.RequestID = identified.GetRequestId()
	}
	for _, detail := range from.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == errorDomain {
			failure.Reason, failure.Field, failure.Metadata = info.GetReason(), info.GetMetadata()["field"], info.GetMetadata()
		}
	}
	switch {
	case failure.Code == codes.Unavailable && ctx.Err() == context.Canceled:
		failure.Code, failure.Message = codes.Canceled, "the context was canceled"
	case failure.Code == codes.Internal && failure.Reason == "":
		// Text that is not UTF-8 does not get as far as the authority. It may be a key: the message names its field alone.
		if _, err := proto.Marshal(request); err != nil {
			failure.Code, failure.Message = codes.InvalidArgument, err.Error()
		}
	}
	return failure
}
