//! What people switch by themselves: do-not-disturb for all their devices, and which of them ring.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Devices that one person may have switched off; the least is forgotten.
const OFF_MAX: usize = 32;

/// Why the devices of a person do not ring although they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Silent {
    /// Do-not-disturb is on.
    DoNotDisturb,
    /// Every device is switched off.
    RingOff,
}

/// The toggles of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toggles {
    /// Nothing rings, whatever else is switched.
    #[serde(default)]
    pub do_not_disturb: bool,
    /// Devices that do not ring: their instance, or else their contact.
    #[serde(default)]
    pub off: BTreeSet<Arc<str>>,
}

/// Those of everybody who has moved one.
#[derive(Debug, Clone, Default)]
pub struct AllToggles {
    by_extension: BTreeMap<Arc<str>, Toggles>,
}

impl AllToggles {
    /// Whether do-not-disturb is on.
    pub fn do_not_disturb(&self, extension: &str) -> bool {
        let toggles = self.by_extension.get(extension);
        toggles.is_some_and(|toggles| toggles.do_not_disturb)
    }

    /// Whether a device is switched on.
    pub fn rings(&self, extension: &str, device: &str) -> bool {
        let toggles = self.by_extension.get(extension);
        toggles.is_none_or(|toggles| !toggles.off.contains(device))
    }

    /// Moves do-not-disturb; the toggles when that changed something.
    pub fn set_do_not_disturb(&mut self, extension: &Arc<str>, on: bool) -> Option<Toggles> {
        self.change(extension, |toggles| toggles.do_not_disturb = on)
    }

    /// Switches a device on or off; the toggles when that changed something.
    pub fn set_ring(&mut self, extension: &Arc<str>, device: &str, on: bool) -> Option<Toggles> {
        self.change(extension, |toggles| {
            if on {
                toggles.off.remove(device);
            } else {
                if toggles.off.len() >= OFF_MAX {
                    toggles.off.pop_first();
                }
                toggles.off.insert(device.into());
            }
        })
    }

    fn change(
        &mut self,
        extension: &Arc<str>,
        change: impl FnOnce(&mut Toggles),
    ) -> Option<Toggles> {
        let mut toggles = self
            .by_extension
            .get(extension)
            .cloned()
            .unwrap_or_default();
        let before = toggles.clone();
        change(&mut toggles);
        if toggles == before {
            return None;
        }
        self.restore(extension.clone(), toggles.clone());
        Some(toggles)
    }

    /// As the journal has it.
    pub fn restore(&mut self, extension: Arc<str>, toggles: Toggles) {
        match toggles == Toggles::default() {
            true => self.by_extension.remove(&extension),
            false => self.by_extension.insert(extension, toggles),
        };
    }

    /// All that differ from the default.
    pub fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Toggles)> {
        self.by_extension.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toggles_say_when_they_change_and_leave_nothing_behind() {
        let mut all = AllToggles::default();
        let ada: Arc<str> = "1001".into();
        assert!(all.rings("1001", "a") && !all.do_not_disturb("1001"));
        assert_eq!(all.set_ring(&ada, "a", true), None);
        assert!(all.set_ring(&ada, "a", false).is_some());
        assert_eq!(all.set_ring(&ada, "a", false), None);
        assert!(!all.rings("1001", "a") && all.rings("1001", "b") && all.rings("1002", "a"));
        assert!(
            all.set_do_not_disturb(&ada, true)
                .is_some_and(|t| t.do_not_disturb)
        );
        assert!(all.do_not_disturb("1001"));
        let kept = all
            .all()
            .next()
            .map(|(who, toggles)| (who.clone(), toggles.clone()));
        let (who, toggles) = kept.expect("one person");
        let mut restored = AllToggles::default();
        restored.restore(who, toggles);
        assert!(restored.do_not_disturb("1001") && !restored.rings("1001", "a"));
        for device in 0..100 {
            all.set_ring(&ada, &device.to_string(), false);
        }
        assert_eq!(all.all().next().map(|(_, t)| t.off.len()), Some(OFF_MAX));
        for device in 0..100 {
            all.set_ring(&ada, &device.to_string(), true);
        }
        all.set_ring(&ada, "a", true);
        all.set_do_not_disturb(&ada, false);
        assert_eq!(all.all().count(), 0);
    }
}
