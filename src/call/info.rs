//! INFO in a leg's dialog: keys for the dialplan, or passed on to the party at the other end (RFC 6086, RFC 2976).

use super::calls::{Asked, CallEvent, Calls, Ctx};
use super::cause::Cause;
use super::leg::{Leg, LegState};
use crate::base::Key;
use crate::sip::{Builder, Message, Method, Name, StatusCode};
use crate::transaction::ServerKey;

/// Bodies that we read.
pub(super) const ACCEPT: &str = "application/dtmf-relay, application/dtmf";

/// INFOs of ours in one dialog that may wait for their answers; what comes beyond is answered and dropped (guess: nobody presses keys
/// faster than they cross).
const WAITING_MAX: u8 = 8;

/// The longest body that is passed on, in bytes (guess: a key needs about forty).
const BODY_BYTES_MAX: usize = 1024;

/// The sort of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Relay,
    Key,
}

impl Sort {
    fn of(request: &Message) -> Option<Sort> {
        let kind = request.content_type()?;
        let kind = kind.split(|&byte| byte == b';').next()?.trim_ascii();
        if kind.eq_ignore_ascii_case(b"application/dtmf-relay") {
            Some(Sort::Relay)
        } else if kind.eq_ignore_ascii_case(b"application/dtmf") {
            Some(Sort::Key)
        } else {
            None
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Sort::Relay => "application/dtmf-relay",
            Sort::Key => "application/dtmf",
        }
    }
}

impl Calls {
    /// INFO: keys as `application/dtmf-relay` with `Signal=5`, or `application/dtmf` with the key alone; an empty one asks whether the
    /// dialog lives. Packages of RFC 6086 are none of ours: 469.
    pub(super) fn on_info(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        server: ServerKey,
        request: &Message,
    ) {
        if request.header(Name::InfoPackage).is_some() {
            let response = Builder::response(request, StatusCode::BAD_INFO_PACKAGE, "")
                .header(Name::RecvInfo, "")
                .finish();
            ctx.tx.respond(ctx.now, server, response, ctx.acts);
            return;
        }
        let sort = Sort::of(request);
        if sort.is_none() && !request.body().is_empty() {
            let unknown = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            self.reply(ctx, server, request, unknown);
            return;
        }
        self.reply(ctx, server, request, StatusCode::OK);
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let call = leg.call;
        let is_caller = self.calls.get(call).is_some_and(|call| call.a == Some(key));
        let (Some(sort), Ok(body)) = (sort, std::str::from_utf8(request.body())) else {
            return;
        };
        let Some(digit) = digit_of(sort, body) else {
            return;
        };
        self.pass_info(ctx, key, sort, body);
        if is_caller {
            ctx.event(CallEvent::Digit { call, digit });
        }
    }

    /// The party at the other end gets the key as it was sent, unless it says that it takes no INFO.
    fn pass_info(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, sort: Sort, body: &str) {
        let Some(other) = self.partner(key) else {
            return;
        };
        let Some(leg) = self.legs.get_mut(other) else {
            return;
        };
        let takes = leg.is_answered()
            && leg.allows.info != Some(false)
            && leg.infos < WAITING_MAX
            && body.len() <= BODY_BYTES_MAX;
        if !takes {
            return;
        }
        leg.infos += 1;
        let sent = self.ask(ctx, other, &Method::Info, Asked::Info, |builder| {
            builder.body(sort.content_type(), body.as_bytes())
        });
        if sent.is_none() {
            self.info_over(other);
        }
    }

    /// A final answer to an INFO of ours. Who knows nothing of the dialog any more is gone (RFC 3261 §12.2.1.2, RFC 5057 §5.1); any other
    /// refusal concerns the key alone.
    pub(super) fn info_answered(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, status: StatusCode) {
        self.info_over(key);
        let lives = self
            .legs
            .get(key)
            .is_some_and(|leg| leg.state == LegState::Answered && leg.bye_when_acked.is_none());
        if lives && status == StatusCode::CALL_DOES_NOT_EXIST {
            self.lose_leg(ctx, key, Cause::PeerLost);
        }
    }

    /// One of our INFOs is over.
    pub(super) fn info_over(&mut self, key: Key<Leg>) {
        if let Some(leg) = self.legs.get_mut(key) {
            leg.infos = leg.infos.saturating_sub(1);
        }
    }
}

/// The key that a body means.
fn digit_of(sort: Sort, body: &str) -> Option<char> {
    let signal = match sort {
        Sort::Relay => body
            .lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("signal"))
            .map(|(_, value)| value.trim())?,
        Sort::Key => body.trim(),
    };
    let digit = match signal {
        "10" => '*',
        "11" => '#',
        text => text.chars().next()?.to_ascii_uppercase(),
    };
    "0123456789*#ABCD".contains(digit).then_some(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_both_dialects() {
        assert_eq!(
            digit_of(Sort::Relay, "Signal=5\r\nDuration=160\r\n"),
            Some('5')
        );
        assert_eq!(digit_of(Sort::Relay, "signal = a"), Some('A'));
        assert_eq!(digit_of(Sort::Relay, "Signal=10"), Some('*'));
        assert_eq!(digit_of(Sort::Key, " 11 "), Some('#'));
        assert_eq!(digit_of(Sort::Key, ""), None);
        assert_eq!(digit_of(Sort::Relay, "Duration=160"), None);
        assert_eq!(digit_of(Sort::Key, "x"), None);
    }
}
