//! The ways in which phones and carriers of the real world misbehave. Each is done on purpose by a peer that has it.

use std::collections::BTreeSet;

/// One way to misbehave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rude {
    /// ACK to a 2xx comes seconds late.
    LateAck,
    /// No ACK to a 2xx at all.
    NoAck,
    /// Each 2xx to INVITE is sent three times at once.
    Repeat2xx,
    /// The BYE comes with a wrong To tag first.
    WrongTag,
    /// CANCEL is answered with 200, and then the INVITE with 200 as well.
    AnswerAfterCancel,
    /// CANCEL makes it answer the INVITE with 200 first: the race of RFC 3261 §9.1.
    AnswerBeforeCancel,
    /// CANCEL is not heard, nor answered.
    DeafToCancel,
    /// BYE is sent twice, as two transactions.
    ByeTwice,
    /// BYE is sent again long after the call.
    LateBye,
    /// BYE is answered seconds late.
    SlowBye,
    /// BYE is never answered.
    DeafToBye,
    /// Sends responses to what nobody asked.
    StrayResponses,
    /// Sends messages that are no SIP.
    Malformed,
    /// Sends headers of tens of thousands of bytes.
    Huge,
    /// Answers an INVITE twice, under two tags, as a fork beyond it would.
    TwoTags,
    /// Says 180 after its 200.
    RingAfterAnswer,
    /// Repeats a message with another body.
    AlteredRepeat,
    /// Sends re-INVITEs without an offer.
    OfferlessReinvite,
    /// Answers a re-INVITE with 491 and sends its own.
    Glare,
    /// Asks for reliable provisionals and never sends PRACK.
    NoPrack,
    /// Sends reliable provisionals and never answers PRACK.
    DeafToPrack,
    /// Sends REFER in a call that has ended.
    ReferAfterBye,
    /// Says 180 again and again for as long as it rings.
    EndlessRinging,
    /// Redirects calls to itself.
    RedirectToSelf,
    /// Answers with a CSeq that nobody sent, then with the right one.
    WrongCseq,
    /// Its Contact names a port where nobody listens.
    OtherPort,
    /// Refuses every session timer as too short.
    TimerRefuser,
    /// Requires an extension that nobody knows.
    UnknownRequire,
}

impl Rude {
    /// All of them.
    pub const ALL: [Rude; 28] = [
        Rude::LateAck,
        Rude::NoAck,
        Rude::Repeat2xx,
        Rude::WrongTag,
        Rude::AnswerAfterCancel,
        Rude::AnswerBeforeCancel,
        Rude::DeafToCancel,
        Rude::ByeTwice,
        Rude::LateBye,
        Rude::SlowBye,
        Rude::DeafToBye,
        Rude::StrayResponses,
        Rude::Malformed,
        Rude::Huge,
        Rude::TwoTags,
        Rude::RingAfterAnswer,
        Rude::AlteredRepeat,
        Rude::OfferlessReinvite,
        Rude::Glare,
        Rude::NoPrack,
        Rude::DeafToPrack,
        Rude::ReferAfterBye,
        Rude::EndlessRinging,
        Rude::RedirectToSelf,
        Rude::WrongCseq,
        Rude::OtherPort,
        Rude::TimerRefuser,
        Rude::UnknownRequire,
    ];

    /// What it is counted as, when a peer does it.
    pub fn name(self) -> &'static str {
        match self {
            Rude::LateAck => "rude: late ACK",
            Rude::NoAck => "rude: no ACK",
            Rude::Repeat2xx => "rude: 2xx three times",
            Rude::WrongTag => "rude: BYE with a wrong tag",
            Rude::AnswerAfterCancel => "rude: 2xx after CANCEL",
            Rude::AnswerBeforeCancel => "rude: CANCEL and 2xx cross",
            Rude::DeafToCancel => "rude: CANCEL ignored",
            Rude::ByeTwice => "rude: BYE twice",
            Rude::LateBye => "rude: late BYE",
            Rude::SlowBye => "rude: BYE answered late",
            Rude::DeafToBye => "rude: BYE never answered",
            Rude::StrayResponses => "rude: stray responses",
            Rude::Malformed => "rude: malformed",
            Rude::Huge => "rude: huge",
            Rude::TwoTags => "rude: 2xx under two tags",
            Rude::RingAfterAnswer => "rude: 180 after 2xx",
            Rude::AlteredRepeat => "rude: repeated with another body",
            Rude::OfferlessReinvite => "rude: re-INVITE without offer",
            Rude::Glare => "rude: glare",
            Rude::NoPrack => "rude: no PRACK",
            Rude::DeafToPrack => "rude: PRACK never answered",
            Rude::ReferAfterBye => "rude: REFER after BYE",
            Rude::EndlessRinging => "rude: endless 180",
            Rude::RedirectToSelf => "rude: 302 to itself",
            Rude::WrongCseq => "rude: wrong CSeq",
            Rude::OtherPort => "rude: Contact of a dead port",
            Rude::TimerRefuser => "rude: 422 for ever",
            Rude::UnknownRequire => "rude: unknown Require",
        }
    }
}

/// How a phone misbehaves: any of the ways, at once.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rudeness(BTreeSet<Rude>);

impl Rudeness {
    /// With these ways.
    pub fn of(ways: impl IntoIterator<Item = Rude>) -> Rudeness {
        Rudeness(ways.into_iter().collect())
    }

    /// True when it has this one.
    pub fn has(&self, way: Rude) -> bool {
        self.0.contains(&way)
    }
}
