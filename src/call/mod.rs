//! Rank 5: the B2BUA. Calls, their legs, how legs are coupled, what crosses between them and how they end.
//!
//! Goes in: INVITEs and in-dialog requests from the transactions, responses, media events, and orders of the switch (answer, dial,
//! connect, play, hang up). Comes out: messages through the transactions, media commands, facts, and `CallEvent`s that the switch
//! turns into dialplan and queue inputs. RFC 3261 §12–§15, RFC 3264, RFC 3326, RFC 3398, RFC 5853 (B2BUA).
//!
//! It knows neither the dialplan nor the ACD nor who may call whom.

mod asking;
mod audio;
mod bridge;
mod calls;
mod cause;
mod change;
mod describe;
mod diversion;
mod due;
mod early;
mod ending;
mod farewell;
mod flows;
pub mod header_policy;
pub mod identity;
mod in_dialog;
mod incoming;
mod info;
mod late_answer;
mod leg;
mod leg_record;
mod live;
mod loops;
mod music;
mod network;
mod outgoing;
mod parting;
mod policy;
mod probe;
mod redirect;
mod referral;
mod reliable;
mod renegotiate;
mod reoffer;
mod replaces;
mod session_timer;
mod sight;
mod transfer;

pub use calls::{Asked, Call, CallEvent, CallOutput, Calls, Ctx, User};
pub use cause::Cause;
pub use diversion::{Diversion, history, read as diversions};
pub use flows::OtherFlows;
pub use in_dialog::unknown_extensions;
pub use incoming::{Incoming, Refusal};
pub use leg::{Endpoint, Leg, LegSpec, LegState, PeerLogin, Role};
pub use loops::{Cookie, is_loop};
pub use network::{Network, ProfileFace};
pub use policy::{
    EarlyMedia, InvitePolicy, Prack, Refresher, SESSION_EXPIRES, SESSION_MIN, SessionTimer,
};
pub use redirect::Redirect;
pub use sight::{Sight, Stage};
pub use transfer::Sides;
