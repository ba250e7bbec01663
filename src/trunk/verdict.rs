//! What the failure of a call at a gateway means: for the call, whether another gateway may do better; for the gateway, whether it is ill.

/// What a final status of a gateway means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The next gateway, or the next trunk, may do better.
    pub next: bool,
    /// The gateway itself failed, not somebody behind it.
    pub blames: bool,
}

const FINAL: Verdict = Verdict {
    next: false,
    blames: false,
};
const ELSEWHERE: Verdict = Verdict {
    next: true,
    blames: false,
};
const ILL: Verdict = Verdict {
    next: true,
    blames: true,
};

/// The table. RFC 3263 §4.3 moves on after 503, silence and transport errors; 500, 502, 504 and 408 are the same in practice, said by a
/// gateway whose own next hop is gone. What speaks of the called number or person is final: another gateway would only ring it again.
pub fn of_status(status: u16) -> Verdict {
    match status {
        500 | 503 => ILL,
        408 | 502 | 504 => ELSEWHERE,
        // a thing that it cannot do: method, version, size, preconditions
        501 | 505 | 513 | 555 | 580 => FINAL,
        // RFC 3261 §8.1.3.2: an unknown 5xx is a 500
        506..=599 => ILL,
        _ => FINAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_called_person_said_is_final() {
        for status in [403, 404, 480, 484, 486, 487, 488, 600, 603, 604, 606, 501] {
            assert_eq!(of_status(status), FINAL, "{status}");
        }
    }

    #[test]
    fn failures_of_the_way_go_to_the_next_gateway() {
        for (status, verdict) in [
            (408, ELSEWHERE),
            (500, ILL),
            (502, ELSEWHERE),
            (503, ILL),
            (504, ELSEWHERE),
            (599, ILL),
        ] {
            assert_eq!(of_status(status), verdict, "{status}");
        }
    }
}
