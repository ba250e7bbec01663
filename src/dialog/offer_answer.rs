//! Who has offered, who owes an answer, and what may be sent now in one INVITE usage (RFC 3264, RFC 6337).
//!
//! ```text
//!              we offer                       they offer
//!   Ours <----------------- Fresh --------------------> Theirs
//!    |  ^                                             ^   |
//!    |  | we offer                        they offer  |   | we answer
//!    |  '------------------- Stable ------------------'   |
//!    |                        ^  ^                        |
//!    '------ they answer -----'  '------------------------'
//! ```
//!
//! A refused offer leads back to where it began. INVITE, PRACK, UPDATE and ACK carry offers and answers alike; which of them may be
//! sent follows from the state and from the transactions that are under way (RFC 3261 §14, RFC 3311 §5, RFC 6337 §2 and §4). A
//! description in an unreliable provisional response completes nothing: it is a look at the answer that the 2xx will bring, so the
//! exchange stays where it is (RFC 3261 §13.2.1).

use crate::base::Duration;
use crate::sip::{Method, StatusCode};

/// Where the exchange stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Exchange {
    /// Nothing was offered yet, or what was offered first has been refused.
    #[default]
    Fresh,
    /// An answer completed the last offer.
    Stable,
    /// Our offer has no answer yet; `again`: something was agreed before.
    Ours {
        /// A refusal leads back to `Stable`, not to `Fresh`.
        again: bool,
    },
    /// Their offer waits for our answer.
    Theirs {
        /// As in `Ours`.
        again: bool,
    },
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// We send an offer.
    Offer,
    /// We send the answer to theirs.
    Answer,
    /// We refuse theirs.
    Refuse,
    /// They offer.
    Offered,
    /// They answer ours.
    Answered,
    /// They refuse ours, or the request that carried it failed.
    Refused,
}

/// What does not fit the exchange, and by which status a peer that sent it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clash {
    /// Our own offer is under way: 491 (RFC 3261 §14.2, RFC 3311 §5.2).
    Pending,
    /// Their last offer or request has no answer yet: 500 with Retry-After.
    Unanswered,
    /// An answer to nothing, or from the wrong side.
    Unasked,
}

impl Clash {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Clash::Pending => StatusCode::REQUEST_PENDING,
            Clash::Unanswered => StatusCode::SERVER_INTERNAL_ERROR,
            Clash::Unasked => StatusCode::BAD_REQUEST,
        }
    }
}

/// The transition of `event` in `exchange`.
pub fn step(exchange: Exchange, event: Event) -> Result<Exchange, Clash> {
    use Exchange::{Fresh, Ours, Stable, Theirs};
    let back = |again| if again { Stable } else { Fresh };
    match (exchange, event) {
        (Fresh, Event::Offer) => Ok(Ours { again: false }),
        (Fresh, Event::Offered) => Ok(Theirs { again: false }),
        (Fresh, Event::Answer | Event::Refuse | Event::Answered | Event::Refused) => {
            Err(Clash::Unasked)
        }

        (Stable, Event::Offer) => Ok(Ours { again: true }),
        (Stable, Event::Offered) => Ok(Theirs { again: true }),
        (Stable, Event::Answer | Event::Refuse | Event::Answered | Event::Refused) => {
            Err(Clash::Unasked)
        }

        (Ours { .. }, Event::Answered) => Ok(Stable),
        (Ours { again }, Event::Refused) => Ok(back(again)),
        (Ours { .. }, Event::Offer | Event::Offered) => Err(Clash::Pending),
        (Ours { .. }, Event::Answer | Event::Refuse) => Err(Clash::Unasked),

        (Theirs { .. }, Event::Answer) => Ok(Stable),
        (Theirs { again }, Event::Refuse) => Ok(back(again)),
        (Theirs { .. }, Event::Offer | Event::Offered) => Err(Clash::Unanswered),
        (Theirs { .. }, Event::Answered | Event::Refused) => Err(Clash::Unasked),
    }
}

/// The exchange of one dialog with the requests that carry it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OfferAnswer {
    exchange: Exchange,
    /// An INVITE of theirs has no final response, or our 2xx to it no ACK.
    pub invite_in: bool,
    /// An INVITE of ours has no final response.
    pub invite_out: bool,
    /// An UPDATE of theirs has no final response.
    pub update_in: bool,
    /// An UPDATE of ours has no final response.
    pub update_out: bool,
}

impl OfferAnswer {
    /// A dialog that their INVITE opens.
    pub fn called() -> Self {
        OfferAnswer {
            invite_in: true,
            ..OfferAnswer::default()
        }
    }

    /// A dialog that our INVITE opens.
    pub fn calling() -> Self {
        OfferAnswer {
            invite_out: true,
            ..OfferAnswer::default()
        }
    }

    /// Where the exchange stands.
    pub fn exchange(&self) -> Exchange {
        self.exchange
    }

    /// Takes an event; one that does not fit changes nothing.
    pub fn on(&mut self, event: Event) -> Result<(), Clash> {
        self.exchange = step(self.exchange, event)?;
        Ok(())
    }

    /// True when nothing is owed by either side and something has been agreed.
    pub fn is_stable(&self) -> bool {
        self.exchange == Exchange::Stable
    }

    /// True when the peer owes us an answer.
    pub fn awaits_answer(&self) -> bool {
        matches!(self.exchange, Exchange::Ours { .. })
    }

    /// True when we owe the peer an answer.
    pub fn owes_answer(&self) -> bool {
        matches!(self.exchange, Exchange::Theirs { .. })
    }

    /// May this INVITE or UPDATE of the peer be served now? A second one before the final response to the first gets 500, one that
    /// meets ours 491 (RFC 3261 §14.2, RFC 3311 §5.2).
    pub fn admit(&self, method: &Method, offers: bool) -> Result<(), Clash> {
        let invite = *method == Method::Invite;
        if (invite && self.invite_in) || self.update_in {
            return Err(Clash::Unanswered);
        }
        if invite && self.invite_out {
            return Err(Clash::Pending);
        }
        if offers || invite {
            step(self.exchange, Event::Offered)?;
            if self.update_out && !self.is_stable() {
                return Err(Clash::Pending);
            }
        }
        Ok(())
    }

    /// May we send an INVITE within the dialog now (RFC 3261 §14.1)?
    pub fn may_invite(&self) -> bool {
        !self.invite_in
            && !self.invite_out
            && !self.update_in
            && !self.update_out
            && self.is_stable()
    }

    /// May we send an UPDATE now, with an offer or without (RFC 3311 §5.1)?
    pub fn may_update(&self, offers: bool) -> bool {
        !self.update_out && (!offers || (self.is_stable() && !self.update_in))
    }
}

/// How long to wait after 491 before the same request is tried again, out of a random number (RFC 3261 §14.1): 2.1–4 s for who made
/// the Call-ID, 0–2 s for the other, both in steps of 10 ms, so that the two do not meet again.
pub fn retry_after_glare(owns_call_id: bool, random: u64) -> Duration {
    let step = Duration::from_millis(10);
    if owns_call_id {
        Duration::from_millis(2_100) + step * u32::try_from(random % 191).unwrap_or(0)
    } else {
        step * u32::try_from(random % 201).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCHANGES: [Exchange; 6] = [
        Exchange::Fresh,
        Exchange::Stable,
        Exchange::Ours { again: false },
        Exchange::Ours { again: true },
        Exchange::Theirs { again: false },
        Exchange::Theirs { again: true },
    ];

    #[test]
    fn every_offer_and_answer_in_every_state() {
        let events = [
            Event::Offer,
            Event::Answer,
            Event::Refuse,
            Event::Offered,
            Event::Answered,
            Event::Refused,
        ];
        let mut table = String::new();
        for exchange in EXCHANGES {
            for event in events {
                let next = match step(exchange, event) {
                    Ok(next) => format!("{next:?}"),
                    Err(clash) => format!("- {clash:?}"),
                };
                table.push_str(&format!("{exchange:?} + {event:?}: {next}\n"));
            }
        }
        insta::assert_snapshot!(table);
    }

    fn after(events: &[Event]) -> OfferAnswer {
        let mut usage = OfferAnswer::default();
        for event in events {
            usage.on(*event).expect("it fits");
        }
        usage
    }

    #[test]
    fn offer_that_meets_ours_gets_491_and_one_before_our_answer_500() {
        let ours = after(&[Event::Offer]);
        let theirs = after(&[Event::Offered]);
        for method in [Method::Invite, Method::Update] {
            assert_eq!(ours.admit(&method, true), Err(Clash::Pending));
            assert_eq!(theirs.admit(&method, true), Err(Clash::Unanswered));
        }
        // without an offer nothing clashes
        assert_eq!(ours.admit(&Method::Update, false), Ok(()));
        assert_eq!(theirs.admit(&Method::Update, false), Ok(()));
        assert_eq!(Clash::Pending.status().as_u16(), 491);
        assert_eq!(Clash::Unanswered.status().as_u16(), 500);
    }

    #[test]
    fn second_invite_waits_for_the_end_of_the_first() {
        let mut usage = after(&[Event::Offer, Event::Answered]);
        usage.invite_in = true;
        assert_eq!(usage.admit(&Method::Invite, true), Err(Clash::Unanswered));
        assert!(!usage.may_invite());
        usage.invite_in = false;
        usage.invite_out = true;
        assert_eq!(usage.admit(&Method::Invite, false), Err(Clash::Pending));
        assert!(!usage.may_invite());
    }

    #[test]
    fn second_update_waits_for_the_end_of_the_first() {
        let mut usage = after(&[Event::Offered, Event::Answer]);
        usage.update_in = true;
        assert_eq!(usage.admit(&Method::Update, false), Err(Clash::Unanswered));
        assert!(!usage.may_update(true));
        assert!(usage.may_update(false));
        usage.update_out = true;
        assert!(!usage.may_update(false));
    }

    #[test]
    fn early_dialog_takes_no_offer_before_the_first_exchange_is_over() {
        let called = OfferAnswer::called();
        let mut called = OfferAnswer { ..called };
        called.on(Event::Offered).expect("the INVITE's offer");
        assert_eq!(called.admit(&Method::Update, true), Err(Clash::Unanswered));
        called.on(Event::Answer).expect("a reliable response");
        assert_eq!(called.admit(&Method::Update, true), Ok(()));
        let calling = OfferAnswer::calling();
        assert_eq!(calling.admit(&Method::Invite, true), Err(Clash::Pending));
    }

    #[test]
    fn after_glare_the_owner_of_the_call_id_waits_longer() {
        for random in [0, 7, 190, 191, 200, 201, u64::MAX] {
            let owner = retry_after_glare(true, random);
            let other = retry_after_glare(false, random);
            assert!((2_100..=4_000).contains(&owner.as_millis()), "{owner:?}");
            assert!(other.as_millis() <= 2_000, "{other:?}");
        }
    }
}
