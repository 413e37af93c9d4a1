// Package post is the careful HTTP sender that the notifiers share: one POST to an address that a stranger chose.
//
// A [Message] is what goes out, a [Rule] says which answers count as delivered, and [Sender.Send] makes the attempt and returns the
// receiver's word as an [sdk.Outcome]. Start reading at sender.go. A [Poster] has Senders by its
// configuration, and by the settings of each subscriber.
//
// What it promises, whatever the receiver does:
//
//   - Nothing is dialled that the plugin's egress rules refuse; that is checked on the address, after DNS, at every dial. There is no
//     proxy, which would hide the address from that check, and no redirect is followed, which would move the choice to the receiver.
//   - Every phase has its limit: connecting 5 s, TLS 5 s, the answer's header two thirds of the whole, the whole 15 s unless configured
//     otherwise, and always a little less than the call's own deadline, so that the reason still reaches the daemon. A reason names the phase. 32 KiB
//     of header and 64 KiB of body are read; an answer is never decompressed.
//   - Connections are kept and used again. One that the receiver closed meanwhile is replaced without a failed attempt as long as nothing
//     had been written on it.
//   - Reasons name the receiver's host, never its path or query, which may hold secrets. What a user gave to be sent, as a password or a header's
//     value, is shown in no reason and no excerpt, even if the receiver sends it back.
package post
