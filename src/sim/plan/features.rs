//! The faults and features of the simulated world, and how often a seed has each.

use super::draw::Draw;

/// Name, and one in how many seeds has it.
pub const FEATURES: [(&str, u64); 39] = [
    ("jitter", 3),
    ("loss", 3),
    ("duplicates", 4),
    ("carrier is near", 2),
    ("tcp", 2),
    ("tls and websockets", 3),
    ("rude", 2),
    ("crashes", 3),
    ("cut off", 4),
    ("vanish", 4),
    ("resets", 2),
    ("half-open", 4),
    ("two flows", 3),
    ("scanner", 4),
    ("second phones", 2),
    ("carrier challenges", 2),
    ("api meddles", 3),
    ("nat", 3),
    ("short nat mappings", 3),
    ("nat pings", 2),
    ("keep-alives of phones", 3),
    ("qualify", 2),
    ("clock steps", 4),
    ("journal refuses", 5),
    ("feature codes", 2),
    ("session timers", 3),
    ("reliable provisionals", 3),
    ("several gateways", 2),
    ("gateways flap", 3),
    ("trunk registers", 4),
    ("trunk caps", 3),
    ("options ping", 2),
    ("gateways by name", 3),
    ("name service fails", 2),
    ("reloads", 3),
    ("overload", 6),
    ("transfers", 3),
    ("watchers", 3),
    ("fetching", 3),
];

/// What a seed has.
#[derive(Clone, Debug, Default)]
pub struct Features(Vec<&'static str>);

impl Features {
    pub(super) fn draw(draw: &mut Draw) -> Features {
        let mut on: Vec<&'static str> = Vec::new();
        for (name, n) in FEATURES {
            if draw.one_in(n) {
                on.push(name);
            }
        }
        let has = |on: &[&str], name: &str| on.contains(&name);
        // what makes no sense without something else, or hides what something else shows
        let streams = has(&on, "tcp") || has(&on, "tls and websockets");
        on.retain(|name| match *name {
            "resets" | "half-open" | "two flows" => streams,
            _ => true,
        });
        let nat = has(&on, "nat");
        on.retain(|name| match *name {
            "short nat mappings" | "nat pings" | "keep-alives of phones" => nat,
            _ => true,
        });
        let (named, crashes) = (has(&on, "gateways by name"), has(&on, "crashes"));
        on.retain(|name| match *name {
            "name service fails" => named,
            // deadlines that survive a death are kept in wall time
            "clock steps" => !crashes,
            _ => true,
        });
        Features(on)
    }

    /// Whether the seed has this one.
    ///
    /// # Panics
    /// When there is no such feature.
    pub fn has(&self, name: &str) -> bool {
        assert!(
            FEATURES.iter().any(|(known, _)| *known == name),
            "`{name}` is no feature"
        );
        self.0.contains(&name)
    }

    /// All that it has.
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }
}
