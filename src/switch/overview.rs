//! Devices and queues as the switch shows them, and the order to drop a device.

use std::sync::Arc;

use super::command::{Answer, Refusal, Reply};
use super::core::Switch;
use super::effect::Effects;
use super::view::RegistrationView;
use crate::acd::QueueView;
use crate::base::Now;
use crate::dialplan::Variables;
use crate::registrar::{AddressOfRecord, Binding};

impl Switch {
    /// All queues, with what their overflow rules do in words: the dialplan knows that, the ACD does not.
    pub(super) fn queue_views(&self, now: Now) -> Vec<QueueView> {
        let mut queues = self.acd.queues(now);
        let nothing = Variables::default();
        for queue in &mut queues {
            let Some(settings) = self.settings.queue(&queue.name) else {
                continue;
            };
            for (rule, steps) in queue.overflow.iter_mut().zip(&settings.overflow) {
                let words = steps.iter().map(|step| step.describe(&nothing));
                rule.then = words.collect::<Vec<_>>().join(", ");
            }
        }
        queues
    }

    fn registration_view(
        &self,
        now: Now,
        aor: &AddressOfRecord,
        binding: &Binding,
    ) -> RegistrationView {
        RegistrationView {
            aor: aor.shared(),
            contact: Arc::from(binding.contact()),
            transport: binding.flow.transport.as_str(),
            source: binding.flow.remote.to_string(),
            user_agent: binding.user_agent.clone(),
            expires_at: now.wall_at(binding.expires_at),
            healthy: self.registrar.healthy(now, binding),
            ring: self.device_rings(aor.user(), binding),
            do_not_disturb: self.toggles.do_not_disturb(aor.user()),
        }
    }

    pub(super) fn registration_views(&self, now: Now) -> Vec<RegistrationView> {
        self.registrar
            .all()
            .map(|(aor, binding)| self.registration_view(now, aor, binding))
            .collect()
    }

    /// Removes a device, or all devices, of an address of record. The device hears nothing of it; whoever watches the registration is
    /// told that the contact was deactivated, so that a good device registers anew (RFC 3680 §4.2).
    pub(super) fn drop_devices(
        &mut self,
        now: Now,
        aor: &str,
        contact: Option<&str>,
        fx: &mut Effects,
    ) -> Reply {
        let aor = match aor.rsplit_once('@') {
            Some((user, domain)) => AddressOfRecord::new(user, domain),
            None => self.aor(aor),
        };
        let mut gone = Vec::new();
        let mut contacts = Vec::new();
        for binding in self.registrar.lookup(now, &aor) {
            if contact.is_none_or(|wanted| wanted == binding.contact()) {
                gone.push(self.registration_view(now, &aor, binding));
                contacts.push((binding.contact().to_owned(), binding.reg_id));
            }
        }
        if gone.is_empty() {
            let which = match contact {
                Some(contact) => format!("{aor} at {contact}"),
                None => aor.to_string(),
            };
            return Err(Refusal::not_found("device of", &which));
        }
        let mut changes = Vec::new();
        for (contact, reg_id) in contacts {
            changes.extend(self.registrar.remove_contact(&aor, &contact, reg_id));
        }
        self.note_bindings(now, changes, fx);
        self.work_off(now, fx);
        Ok(Answer::Registrations(gone))
    }
}
