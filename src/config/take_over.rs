//! New settings for a process that already runs: what names things by place keeps its place, what needs a restart stays as it was.

use std::sync::Arc;

use super::settings::{ProfileAuth, Settings, SipProfile};

impl Settings {
    /// Makes these settings fit for a process that runs with `old`.
    ///
    /// Flows of calls, bindings and connections name their profile by its place in the list ([`crate::transport::ProfileId`]). So a
    /// profile keeps the place that it has, by its name or its name before a rename; new ones come behind; and where one was taken
    /// out, it stays without listeners and without trunks, so that nobody else answers to its number. The domain stays too: the
    /// bindings of all phones stand under it until a restart.
    pub fn take_over_from(&mut self, old: &Settings) {
        self.server.domain = old.server.domain.clone();
        let mut new: Vec<Option<Arc<SipProfile>>> = self.profiles.drain(..).map(Some).collect();
        let mut take = |fits: &dyn Fn(&SipProfile) -> bool| {
            new.iter_mut()
                .find(|place| place.as_deref().is_some_and(fits))
                .and_then(Option::take)
        };
        let named: Vec<Option<Arc<SipProfile>>> = old
            .profiles
            .iter()
            .map(|before| take(&|profile| profile.name == before.name))
            .collect();
        let mut profiles = Vec::with_capacity(named.len());
        for (before, found) in old.profiles.iter().zip(named) {
            let found = found.or_else(|| {
                let renamed = |profile: &SipProfile| profile.was.as_ref() == Some(&before.name);
                take(&renamed)
            });
            profiles.push(found.unwrap_or_else(|| {
                Arc::new(SipProfile {
                    listen: Vec::new(),
                    trunks: Vec::new(),
                    auth: ProfileAuth::Trunk,
                    ..SipProfile::clone(before)
                })
            }));
        }
        profiles.extend(new.into_iter().flatten());
        self.profiles = profiles;
    }
}

impl SipProfile {
    /// True for a profile that a reload took out: see [`Settings::take_over_from`]. One of the files has at least one listener.
    pub fn is_gone(&self) -> bool {
        self.listen.is_empty()
    }
}
