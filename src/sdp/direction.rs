//! The direction of a media stream (RFC 8866 §6.7, RFC 3264 §5.1).

use serde::{Deserialize, Serialize};

/// Who sends, as seen from the side that wrote the description.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// Both sides send. What holds when nothing is said (RFC 8866 §6.7).
    #[default]
    SendRecv,
    /// This side only sends: the usual way to put the other on hold.
    SendOnly,
    /// This side only receives.
    RecvOnly,
    /// Nobody sends; RTCP goes on.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// From the attribute's name, in any case.
    pub fn parse(name: &[u8]) -> Option<Direction> {
        [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ]
        .into_iter()
        .find(|direction| name.eq_ignore_ascii_case(direction.as_str().as_bytes()))
    }

    /// From the two halves.
    pub const fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// True when this side may send.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// True when this side is ready to receive.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same stream as the other side sees it.
    pub const fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What both allow, both seen from the same side.
    pub const fn and(self, other: Direction) -> Direction {
        Direction::of(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_to_sendonly_can_at_most_receive() {
        let offered = Direction::SendOnly;
        assert_eq!(
            Direction::SendRecv.and(offered.reversed()),
            Direction::RecvOnly
        );
        assert_eq!(
            Direction::SendOnly.and(offered.reversed()),
            Direction::Inactive
        );
    }

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!(Direction::parse(b"SendOnly"), Some(Direction::SendOnly));
        assert_eq!(Direction::parse(b"sendonly "), None);
    }
}
