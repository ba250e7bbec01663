//! Do-not-disturb and the ring toggles of devices: moved by feature code, API and command, kept over a restart.

use std::sync::Arc;

use super::command::{Answer, Refusal, Reply};
use super::core::Switch;
use super::effect::Effects;
use super::record::Record;
use crate::acd::AcdCommand;
use crate::base::{Key, Now};
use crate::call::{Call, Endpoint};
use crate::dialplan::{Feature, StepInput};
use crate::directory::toggles::{Silent, Toggles};
use crate::registrar::Binding;
use crate::sip::Uri;

/// What a device is known by over its registrations.
pub(super) fn device_key(binding: &Binding) -> String {
    if let Some(instance) = binding.instance() {
        return instance.to_owned();
    }
    match Uri::parse(binding.contact().as_bytes()) {
        // its port is another one with each connection
        Ok(uri) if binding.flow.transport.is_reliable() => format!(
            "{}@{}",
            uri.user_text().unwrap_or_default(),
            String::from_utf8_lossy(uri.host)
        ),
        Ok(_) | Err(_) => binding.contact().to_owned(),
    }
}

impl Switch {
    /// Whether this device of the extension is switched on.
    pub(super) fn device_rings(&self, extension: &str, binding: &Binding) -> bool {
        self.toggles.rings(extension, &device_key(binding))
    }

    /// Devices of an extension that ring, and why none does although some are there.
    pub(super) fn ringable(&self, now: Now, extension: &str) -> (u32, Option<Silent>) {
        let aor = self.aor(extension);
        let targets = self.registrar.targets(now, &aor);
        if targets.is_empty() {
            return (0, None);
        }
        if self.toggles.do_not_disturb(extension) {
            return (0, Some(Silent::DoNotDisturb));
        }
        let firsts = targets.iter().filter_map(|target| target.first());
        let on = firsts.filter(|binding| self.device_rings(extension, binding));
        match u32::try_from(on.count()).unwrap_or(u32::MAX) {
            0 => (0, Some(Silent::RingOff)),
            some => (some, None),
        }
    }

    /// Tells the ACD how many devices of an agent can be rung.
    pub(super) fn report_devices(&mut self, now: Now, extension: &str) {
        if !self.acd.knows_agent(extension) {
            return;
        }
        let (ringable, silent) = self.ringable(now, extension);
        let agent: Arc<str> = Arc::from(extension);
        self.orders.push_back(AcdCommand::Silent {
            agent: agent.clone(),
            silent,
        });
        self.orders
            .push_back(AcdCommand::Devices { agent, ringable });
    }

    fn note_toggles(
        &mut self,
        now: Now,
        extension: &Arc<str>,
        toggles: Option<Toggles>,
        fx: &mut Effects,
    ) {
        let Some(toggles) = toggles else { return };
        let extension = extension.clone();
        let record = Record::Toggles {
            extension: extension.clone(),
            toggles,
        };
        Self::journal(fx, record);
        self.report_devices(now, &extension);
    }

    /// Somebody orders do-not-disturb on or off.
    pub(super) fn set_do_not_disturb(
        &mut self,
        now: Now,
        extension: &Arc<str>,
        on: bool,
        fx: &mut Effects,
    ) -> Reply {
        if self.settings.directory.user(extension).is_none() {
            return Err(Refusal::not_found("extension", extension));
        }
        let changed = self.toggles.set_do_not_disturb(extension, on);
        self.note_toggles(now, extension, changed, fx);
        self.work_off(now, fx);
        self.devices_of(now, extension)
    }

    /// Somebody switches a registered device on or off; all of them without a contact.
    pub(super) fn set_ring(
        &mut self,
        now: Now,
        extension: &Arc<str>,
        contact: Option<&str>,
        on: bool,
        fx: &mut Effects,
    ) -> Reply {
        if self.settings.directory.user(extension).is_none() {
            return Err(Refusal::not_found("extension", extension));
        }
        let aor = self.aor(extension);
        let bindings = self.registrar.lookup(now, &aor);
        let wanted =
            bindings.filter(|binding| contact.is_none_or(|contact| contact == binding.contact()));
        let keys: Vec<String> = wanted.map(device_key).collect();
        if keys.is_empty() {
            let which = match contact {
                Some(contact) => format!("{extension} at {contact}"),
                None => extension.to_string(),
            };
            return Err(Refusal::not_found("registered device of", &which));
        }
        let mut changed = None;
        for key in keys {
            changed = self.toggles.set_ring(extension, &key, on).or(changed);
        }
        self.note_toggles(now, extension, changed, fx);
        self.work_off(now, fx);
        self.devices_of(now, extension)
    }

    /// The registered devices of an extension with their toggles.
    fn devices_of(&self, now: Now, extension: &str) -> Reply {
        let aor = self.aor(extension);
        let mut views = self.registration_views(now);
        views.retain(|view| *view.aor == *aor.shared());
        Ok(Answer::Registrations(views))
    }

    /// The caller's own toggles, by feature code. `None` when the code is another one.
    pub(super) fn toggle_feature(
        &mut self,
        now: Now,
        call: Key<Call>,
        feature: &Feature,
        fx: &mut Effects,
    ) -> Option<StepInput> {
        let (Feature::DoNotDisturb(on) | Feature::Ring(on)) = feature else {
            return None;
        };
        let on = *on;
        let leg = self.calls.caller(call);
        let Some((Endpoint::Extension(extension), flow)) =
            leg.map(|leg| (leg.endpoint.clone(), leg.flow))
        else {
            let why = "only an extension can do that".to_owned();
            return Some(StepInput::Refused(why));
        };
        let changed = match feature {
            Feature::DoNotDisturb(_) => self.toggles.set_do_not_disturb(&extension, on),
            _ => {
                let aor = self.aor(&extension);
                // the phone that calls, known by where it registered from
                let mut bindings = self.registrar.lookup(now, &aor);
                let own = bindings.find(|binding| {
                    binding.flow.remote == flow.remote && binding.flow.connection == flow.connection
                });
                let Some(key) = own.map(device_key) else {
                    let why = "this phone is not registered".to_owned();
                    return Some(StepInput::Refused(why));
                };
                self.toggles.set_ring(&extension, &key, on)
            }
        };
        self.note_toggles(now, &extension, changed, fx);
        Some(StepInput::Done)
    }
}
