//! Answers that come again or too late: repeated 2xx, those of forks behind the peer, those that crossed our CANCEL (RFC 3261
//! §13.2.2.4).

use super::calls::{Calls, Ctx, User};
use super::cause::Cause;
use super::leg::{Invite, Leg};
use crate::base::Key;
use crate::dialog::Dialog;
use crate::sip::{Message, Method, Name};
use crate::transaction::{Act, ClientKey};
use crate::transport::Flow;

/// Numbers that a branch of a fork, whose early dialog is forgotten when another wins, may have seen from us in PRACKs (guess: far more than
/// anybody answers reliably).
const FORK_GAP: u32 = 100;
/// Forks behind a peer that are remembered once they were ended; nobody forks an INVITE to more telephones that answer (guess).
const FORKS_MAX: usize = 8;

impl Calls {
    /// A 2xx came again: the ACK was lost (RFC 3261 §13.2.2.4).
    pub(super) fn repeat_ack(&mut self, ctx: &mut Ctx<'_>, client: ClientKey) {
        if let Some(late) = self.late_acks.get(&client) {
            send(ctx, late.flow, &late.ack);
        }
    }

    /// A 2xx for a leg that is over: its ACK was lost, or a fork behind the peer answers too, whose dialog is ended at once.
    pub(super) fn answer_after_the_end(
        &mut self,
        ctx: &mut Ctx<'_>,
        client: ClientKey,
        flow: Flow,
        response: &Message,
    ) {
        let Some(late) = self.late_acks.get(&client) else {
            return;
        };
        if late.ack.to_tag() == response.to_tag() {
            self.repeat_ack(ctx, client);
            return;
        }
        let number = late.ack.cseq().number;
        // the ACK says all that the INVITE said of our side of the dialog
        if let Some(dialog) = Dialog::uac(&late.ack, response, flow) {
            self.end_fork(ctx, client, dialog, number);
        }
    }

    /// A 2xx to an INVITE that was left for another of the same leg: its device has answered the one that nobody waits for, and is let go.
    pub fn forgotten_answered(
        &mut self,
        ctx: &mut Ctx<'_>,
        client: ClientKey,
        invite: &Message,
        flow: Flow,
        response: &Message,
    ) {
        if self.late_acks.contains_key(&client) {
            self.answer_after_the_end(ctx, client, flow, response);
        } else if let Some(dialog) = Dialog::uac(invite, response, flow) {
            let number = invite.cseq().number;
            let (flow, ack) = self.ack_and_bye(ctx, dialog, number, Cause::AnsweredElsewhere);
            self.keep_ack(ctx, client, flow, ack);
        }
    }

    /// A fork behind the peer has answered too: it gets ACK and BYE, and when it repeats its answer the ACK again (RFC 3261 §13.2.2.4).
    fn end_fork(&mut self, ctx: &mut Ctx<'_>, client: ClientKey, dialog: Dialog, number: u32) {
        let late = self.late_acks.get(&client);
        let of_fork = |(_, ack): &&(Flow, Message)| ack.to_tag() == Some(&dialog.remote_tag[..]);
        if let Some((flow, ack)) = late.and_then(|late| late.forks.iter().find(of_fork)) {
            send(ctx, *flow, ack);
            return;
        }
        let sent = self.ack_and_bye(ctx, dialog, number, Cause::AnsweredElsewhere);
        if let Some(late) = self.late_acks.get_mut(&client)
            && late.forks.len() < FORKS_MAX
        {
            late.forks.push(sent);
        }
    }

    /// Another 2xx on an answered leg: a repetition, or a second answer of a fork behind the peer, which is ended at once.
    pub(super) fn second_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        client: ClientKey,
        flow: Flow,
        response: &Message,
    ) {
        let same = self
            .legs
            .get(key)
            .and_then(|leg| leg.dialog.as_ref())
            .is_some_and(|dialog| dialog.matches(response));
        if same {
            self.repeat_ack(ctx, client);
            return;
        }
        let Some(leg) = self.legs.get(key) else {
            return;
        };
        let Some(dialog) = Dialog::uac(&leg.request, response, flow) else {
            return;
        };
        let number = leg.request.cseq().number;
        self.end_fork(ctx, client, dialog, number);
    }

    /// A 2xx that crossed our CANCEL: ACK, then BYE with the Reason; no media is ever forwarded.
    pub(super) fn refuse_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: Key<Leg>,
        flow: Flow,
        response: &Message,
        cause: Cause,
    ) {
        let client = self.legs.get(key).and_then(|leg| match leg.invite {
            Invite::Client { key } => key,
            Invite::Server { .. } => None,
        });
        let cseq = self
            .legs
            .get(key)
            .map_or(1, |leg| leg.request.cseq().number);
        // the early dialog, if there is one: PRACKs have used numbers of it
        if let Some(leg) = self.legs.get_mut(key)
            && leg.confirm(response, flow)
        {
            self.acknowledge(ctx, key, client, cseq, None);
            self.send_bye(ctx, key, cause);
        }
        self.remove_leg(key);
    }

    /// Gives the ACK and where it went.
    fn ack_and_bye(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut dialog: Dialog,
        number: u32,
        cause: Cause,
    ) -> (Flow, Message) {
        let flow = self.route(&dialog, &dialog.flow);
        let sent_by = self.network.sent_by(&flow);
        let branch = ctx.tx.branch();
        let ack = dialog
            .ack(number, flow.transport.as_str(), &sent_by, branch.as_ref())
            .finish();
        send(ctx, flow, &ack);
        let branch = ctx.tx.branch();
        let bye = dialog
            // far above what PRACKs in an early dialog of this branch may have used
            .skip(FORK_GAP)
            .request(
                &Method::Bye,
                flow.transport.as_str(),
                &sent_by,
                branch.as_ref(),
            )
            .header(Name::Reason, cause.reason())
            .finish();
        ctx.tx
            .send_request(ctx.now, flow, bye, User::Nobody, ctx.acts);
        (flow, ack)
    }
}

/// An ACK to a 2xx is no transaction's.
fn send(ctx: &mut Ctx<'_>, flow: Flow, ack: &Message) {
    let message = ack.clone();
    ctx.acts.push(Act::Send { flow, message });
}
