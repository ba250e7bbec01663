//! A scanner: probes extensions and trunks from outside with everything that scanners send, and expects nothing.

use std::net::SocketAddr;

use super::order::Order;
use super::phone::MARKER;
use super::{Actor, Context, Deed, Packet, Reminder, Way};
use crate::base::Duration;
use crate::sim::wire::Text;

/// A scanner.
pub struct Scanner {
    name: String,
    address: SocketAddr,
    targets: Vec<SocketAddr>,
    busy: bool,
    sent: u32,
}

impl Scanner {
    /// A scanner that probes `targets` after [`Order::Register`].
    pub fn new(name: &str, address: SocketAddr, targets: Vec<SocketAddr>) -> Scanner {
        Scanner {
            name: name.to_string(),
            address,
            targets,
            busy: false,
            sent: 0,
        }
    }

    fn probe(&mut self, context: &mut Context<'_>) {
        self.sent += 1;
        context.reach("scanner probes");
        let methods = [
            "OPTIONS",
            "REGISTER",
            "INVITE",
            "SUBSCRIBE",
            "MESSAGE",
            "BYE",
            "REFER",
            "NOSUCH",
        ];
        let pick = |entropy: &mut crate::base::Entropy, of: usize| {
            usize::try_from(entropy.below(of as u64)).unwrap_or(0)
        };
        let method = methods[pick(context.entropy, methods.len())];
        let target = self.targets[pick(context.entropy, self.targets.len())];
        let user = 1000 + context.entropy.below(30);
        let uri = format!("sip:{user}@{target}");
        let mut request = Text::request(method, &uri)
            .with(
                "Via",
                &format!(
                    "SIP/2.0/UDP {};branch=z9hG4bK{}",
                    self.address,
                    context.token()
                ),
            )
            .with(
                "From",
                &format!("<sip:{user}@pbx.example.com>;tag={}", context.token()),
            )
            .with("To", &format!("<{uri}>"))
            .with("Call-ID", &context.token())
            .with("CSeq", &format!("1 {method}"))
            .with("Max-Forwards", "70")
            .with("Contact", &format!("<sip:{user}@{}>", self.address))
            .with(MARKER, &self.name);
        match context.entropy.below(4) {
            0 => request.push("Route", "<sip:203.0.113.10:5060;lr>"),
            1 => request.push(
                "Authorization",
                "Digest username=\"1001\", realm=\"pbx.example.com\", nonce=\"1\", uri=\"x\", response=\"00000000000000000000000000000000\"",
            ),
            _ => {}
        }
        let mut bytes = request.to_bytes();
        if context.entropy.below(5) == 0 {
            let at = pick(context.entropy, bytes.len());
            bytes[at] = (context.entropy.below(256)) as u8;
        }
        context.deeds.push(Deed::Send {
            local: self.address,
            way: Way::to(target, false),
            bytes,
        });
    }
}

impl Actor for Scanner {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.address]
    }

    fn receive(&mut self, _context: &mut Context<'_>, _packet: &Packet) {}

    fn remind(&mut self, context: &mut Context<'_>, _reminder: Reminder) {
        if self.busy {
            self.probe(context);
            let wait = Duration::from_millis(50 + context.entropy.below(3_000));
            context.remind(wait, Reminder::Idea);
        }
    }

    fn order(&mut self, context: &mut Context<'_>, order: Order) {
        match order {
            Order::Register if !self.busy => {
                self.busy = true;
                context.remind(Duration::from_millis(1), Reminder::Idea);
            }
            Order::Heal | Order::Retire | Order::Vanish => self.busy = false,
            _ => {}
        }
    }

    fn closed(&mut self, _context: &mut Context<'_>, _lane: u8) {}

    fn unfinished(&self) -> Vec<String> {
        Vec::new()
    }

    fn is_hostile(&self) -> bool {
        true
    }
}
