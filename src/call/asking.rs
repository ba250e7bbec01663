//! Requests of ours in a leg's dialog, and the second try of any request whose peer wants credentials (RFC 3261 §12.2.1, §22).

use super::calls::{Asked, Calls, Ctx, User};
use super::leg::{Leg, PeerLogin};
use crate::auth;
use crate::base::Key;
use crate::sip::{Builder, Challenge, Message, Method, Name, StatusCode, edit};
use crate::transaction::ClientKey;
use crate::transport::Flow;

/// Answers to challenges of one request: one, and one more when the peer says that its nonce was stale (RFC 7616 §3.3).
pub(super) const LOGINS_MAX: u8 = 2;

/// A request in a dialog of a peer that may challenge it, until its final response. It outlives its leg: a BYE must reach its peer.
#[derive(Debug)]
pub(super) struct Pending {
    flow: Flow,
    message: Message,
    login: PeerLogin,
    logins: u8,
}

impl Calls {
    /// Sends a request in the dialog of a leg. `write` gets what every request in a dialog has, with our Contact where the method may
    /// carry one, and adds the rest. `None` when the leg has no dialog.
    pub(super) fn ask(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        method: &Method,
        what: Asked,
        write: impl FnOnce(Builder) -> Message,
    ) -> Option<ClientKey> {
        let leg = self.legs.get_mut(key)?;
        let contact_user = super::in_dialog::contact_user(leg);
        let dialog = leg.dialog.as_mut()?;
        let flow = super::ending::route(&self.network, dialog, &leg.flow);
        let branch = ctx.tx.branch();
        let sent_by = self.network.sent_by(&flow);
        let mut builder =
            dialog.request(method, flow.transport.as_str(), &sent_by, branch.as_ref());
        if shows_contact(method) {
            builder = builder.header(Name::Contact, self.network.contact(&flow, &contact_user));
        }
        let message = write(builder);
        let login = leg.login.clone();
        let kept = login.map(|login| Pending {
            flow,
            message: message.clone(),
            login,
            logins: 0,
        });
        let bye = (what == Asked::Bye).then(|| message.clone());
        let user = User::InDialog(key, what);
        let client = ctx.tx.send_request(ctx.now, flow, message, user, ctx.acts);
        if let Some(kept) = kept {
            self.pending.insert(client, Box::new(kept));
        }
        if let Some(bye) = bye {
            self.bye_left(ctx.now.mono, key, client, &bye);
        }
        Some(client)
    }

    /// Takes a response to a request in a leg's dialog.
    pub fn on_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        what: Asked,
        client: ClientKey,
        flow: Flow,
        response: &Message,
    ) {
        let Some(status) = response.status() else {
            return;
        };
        if status.is_final()
            && let Some(kept) = self.pending.remove(&client)
            && matches!(status.as_u16(), 401 | 407)
            && self.ask_again(ctx, key, what, client, *kept, response)
        {
            return;
        }
        match what {
            Asked::Change => self.on_change_response(ctx, key, client, flow, response),
            Asked::Probe if status.is_final() => self.on_probe_response(ctx, key, Some(status)),
            Asked::Notify if status.is_final() => self.on_notify_response(ctx, key, Some(status)),
            Asked::Info if status.is_final() => self.info_answered(ctx, key, status),
            Asked::Bye if status.is_final() => self.bye_arrived(key, client),
            Asked::Probe | Asked::Notify | Asked::Bye | Asked::Prack | Asked::Info => {}
        }
    }

    /// No final response came to a request in a leg's dialog, or the way to the peer is broken.
    pub fn on_lost(&mut self, ctx: &mut Ctx<'_>, key: Key<Leg>, what: Asked, client: ClientKey) {
        self.pending.remove(&client);
        match what {
            Asked::Change => self.on_change_lost(ctx, key, client),
            Asked::Probe => self.on_probe_response(ctx, key, None),
            Asked::Notify => self.on_notify_response(ctx, key, None),
            Asked::Info => self.info_over(key),
            Asked::Bye => self.bye_lost(ctx, key, client),
            Asked::Prack => {}
        }
    }

    /// The same request with credentials; false when there are none that help.
    fn ask_again(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        what: Asked,
        client: ClientKey,
        mut kept: Pending,
        response: &Message,
    ) -> bool {
        // the dialog's numbers rise while it lives; after it, nothing but this request uses them
        let dialog = self.legs.get_mut(key).and_then(|leg| leg.dialog.as_mut());
        let number = match dialog {
            Some(dialog) => dialog.next_cseq(),
            None => kept.message.cseq().number.saturating_add(1),
        };
        let again = self.with_credentials(
            ctx,
            &kept.message,
            response,
            &kept.login,
            kept.logins,
            number,
        );
        let Some(message) = again else {
            return false;
        };
        kept.logins += 1;
        kept.message = message.clone();
        let user = User::InDialog(key, what);
        let next = ctx
            .tx
            .send_request(ctx.now, kept.flow, message, user, ctx.acts);
        self.pending.insert(next, Box::new(kept));
        if let Some(leg) = self.legs.get_mut(key)
            && let Some(asking) = leg.asking.as_mut()
            && asking.client == client
        {
            asking.client = next;
        }
        true
    }

    /// `request` once more, as an answer to the challenge in `response`: a new branch, the next number, credentials. `None` when the
    /// challenge cannot be read or answered, or was answered before: a second one means a wrong password, unless it says that only
    /// its nonce is old.
    pub(super) fn with_credentials(
        &mut self,
        ctx: &mut Ctx<'_>,
        request: &Message,
        response: &Message,
        login: &PeerLogin,
        logins: u8,
        number: u32,
    ) -> Option<Message> {
        let (asked, answer) = headers_of(response);
        let challenge = answerable(response, asked, login)?;
        if logins >= LOGINS_MAX || (logins > 0 && !challenge.stale) {
            return None;
        }
        let cnonce = self.entropy.token::<16>();
        let value = auth::respond(
            &challenge,
            request.method(),
            request.uri_bytes(),
            &login.username,
            &login.password,
            1,
            &cnonce,
            request.body(),
        )?;
        let message = again(ctx, request, number);
        Some(edit::replace(&message, answer, value.as_bytes()))
    }
}

/// A request once more: the same but for a new branch and the next number. What marks its call goes into the new branch too.
pub(super) fn again(ctx: &mut Ctx<'_>, request: &Message, number: u32) -> Message {
    let via = request.top_via();
    let branch = ctx.tx.branch();
    let branch = super::loops::marked_as(branch.as_ref(), via.branch().unwrap_or_default());
    let transport = String::from_utf8_lossy(via.transport).into_owned();
    let host = String::from_utf8_lossy(via.host);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.into_owned()
    };
    let port = via.port.map(|port| format!(":{port}")).unwrap_or_default();
    let branch = String::from_utf8_lossy(&branch).into_owned();
    let via = format!("SIP/2.0/{transport} {host}{port};branch={branch};rport");
    let cseq = format!("{number} {}", request.method());
    let message = edit::replace(request, Name::Via, via.as_bytes());
    edit::replace(&message, Name::CSeq, cseq.as_bytes())
}

/// True for methods whose requests in a dialog carry our Contact (RFC 3261 table 2 and those that refresh the target).
fn shows_contact(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer
    )
}

/// Where the challenge stands, and where the answer goes.
fn headers_of(response: &Message) -> (Name, Name) {
    if response.status().map(StatusCode::as_u16) == Some(407) {
        (Name::ProxyAuthenticate, Name::ProxyAuthorization)
    } else {
        (Name::WwwAuthenticate, Name::Authorization)
    }
}

/// The first challenge whose realm the password answers to and whose hash we know (RFC 8760 §2.4: the topmost is preferred). A password
/// proved to whoever asks is given away in the end, so that a foreign realm gets nothing.
fn answerable<'a>(response: &'a Message, asked: Name, login: &PeerLogin) -> Option<Challenge<'a>> {
    response
        .headers(asked)
        .filter_map(|value| Challenge::parse(value).ok())
        .find(|challenge| {
            auth::Algorithm::of(challenge.algorithm.as_deref()).is_some()
                && login
                    .realm
                    .as_ref()
                    .is_none_or(|realm| realm.as_bytes().eq_ignore_ascii_case(&challenge.realm))
        })
}

/// The realm that an answer to this challenge goes to.
pub(super) fn realm_of(response: &Message, login: &PeerLogin) -> Option<std::sync::Arc<str>> {
    let (asked, _) = headers_of(response);
    let challenge = answerable(response, asked, login)?;
    Some(String::from_utf8_lossy(&challenge.realm).as_ref().into())
}
