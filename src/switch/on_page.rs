//! MESSAGE (RFC 3428): from one registered person of the house to another. Not to trunks, and nothing waits for who is not there.

use super::core::Switch;
use super::dialing::{display_text, uri_user};
use super::effect::Effects;
use crate::base::Now;
use crate::notifier::{PAGE_BYTES_MAX, PageParties};
use crate::sip::{Message, StatusCode};
use crate::transaction::ServerKey;
use crate::transport::{Flow, Transport, Way};

impl Switch {
    /// A MESSAGE outside of dialogs.
    pub(super) fn on_page(
        &mut self,
        now: Now,
        key: ServerKey,
        flow: Flow,
        request: &Message,
        fx: &mut Effects,
    ) {
        let Some(sender) = self.account(now, key, flow, request) else {
            return;
        };
        if flow.transport == Transport::Udp && request.bytes().len() > PAGE_BYTES_MAX {
            return self.answer(now, key, request, StatusCode::MESSAGE_TOO_LARGE);
        }
        let asked = request.uri().ok().and_then(|uri| uri.user_text());
        let person = asked.and_then(|asked| self.settings.directory.user(&asked).cloned());
        let Some(person) = person else {
            return self.answer(now, key, request, StatusCode::NOT_FOUND);
        };
        let domain = &self.settings.server.domain;
        let name = self
            .settings
            .directory
            .user(&sender)
            .map(|user| user.name.clone());
        // the sender's name and number are those of its account, whatever its From said
        let parties = PageParties {
            from: format!(
                "{}<sip:{}@{domain}>",
                display_text(name.as_deref()),
                uri_user(&sender)
            ),
            to: format!("<sip:{}@{domain}>", uri_user(&person.extension)),
        };
        let devices: Vec<Way> = self
            .registrar
            .targets(now, &self.aor(&person.extension))
            .iter()
            .filter_map(|device| device.first().map(|flow| flow.way()))
            .collect();
        let passed = self.with_notifier(now, fx, |notifier, ctx| {
            notifier.page(ctx, key, request, &parties, &devices)
        });
        if let Err(end) = passed {
            self.answer(now, key, request, end.0);
        }
    }
}
