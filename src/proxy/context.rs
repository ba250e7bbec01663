//! Response contexts (RFC 3261 §16.7): the branches of one forwarded request, and which of their answers its sender gets.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::forward;
use super::token::{Token, TokenKey};
use crate::base::{Arena, Duration, Instant, Key, Map, Now, limits};
use crate::sip::{Builder, Message, Method, Name, StatusCode, edit};
use crate::transaction::{Act, ClientKey, ServerKey, Transactions};
use crate::transport::{Flow, Transport, Way};

/// Contexts at a time (guess: far above what a site without calls of its own forwards, far below what memory minds).
const CONTEXTS_MAX: usize = 20_000;

/// One place that a request may be sent to.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The way there.
    pub way: Way,
    /// `host:port` of ours on that way, for Via and Record-Route.
    pub sent_by: Arc<str>,
}

/// How a request is forwarded.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Groups one after the other; the hops of a group at once (RFC 3261 §16.6: serial and parallel forking).
    pub groups: Vec<Vec<Hop>>,
    /// Later requests of the dialog are to come this way too.
    pub record_route: bool,
}

/// What an operation borrows from the switch.
pub struct Ctx<'a, U: Copy> {
    /// The time of this input.
    pub now: Now,
    /// The transactions that carry our messages.
    pub tx: &'a mut Transactions<U>,
    /// What the transactions want done.
    pub acts: &'a mut Vec<Act<U>>,
    /// Makes the user of a branch from its ticket.
    pub user: fn(u64) -> U,
}

/// A branch (RFC 3261 §16.6): one forwarded copy.
#[derive(Debug)]
struct Branch {
    client: ClientKey,
    /// It has no final response.
    open: bool,
    cancelled: bool,
}

/// One request that is being forwarded.
#[derive(Debug)]
struct Context {
    server: ServerKey,
    request: Message,
    from: Flow,
    /// Groups that were not tried yet, the next one last.
    groups: Vec<Vec<Hop>>,
    record_route: bool,
    branches: Vec<Branch>,
    /// The best final response so far, our Via taken off.
    best: Option<Message>,
    /// Challenges of all branches (RFC 3261 §16.7 item 7).
    challenges: Vec<(Name, Bytes)>,
    /// A final response went to the sender; only further 2xx may follow.
    answered: bool,
    /// The sender took it back, or somebody answered for all (6xx): no more groups.
    closed: bool,
    /// Timer C while it is open, then the end of its memory.
    due: Instant,
}

/// All requests that are being forwarded.
pub struct Proxy {
    contexts: Arena<Context>,
    by_server: Map<ServerKey, Key<Context>>,
    due: BTreeSet<(Instant, Key<Context>)>,
    key: TokenKey,
}

impl Proxy {
    /// Forwards nothing yet.
    pub fn new(key: TokenKey) -> Proxy {
        Proxy {
            contexts: Arena::new(),
            by_server: Map::default(),
            due: BTreeSet::new(),
            key,
        }
    }

    /// Requests being forwarded, and those kept for further answers.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// True when nothing is being forwarded.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// What seals our tokens.
    pub fn token_key(&self) -> &TokenKey {
        &self.key
    }

    /// Forwards a request that came on `from`. An error is the status to refuse it with.
    pub fn forward<U: Copy>(
        &mut self,
        ctx: &mut Ctx<'_, U>,
        server: ServerKey,
        from: Flow,
        request: Message,
        plan: Plan,
    ) -> Result<(), StatusCode> {
        if self.contexts.len() >= CONTEXTS_MAX {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if request.max_forwards() == Some(0) {
            return Err(StatusCode::TOO_MANY_HOPS);
        }
        let mut groups = plan.groups;
        groups.retain(|group| !group.is_empty());
        let widest = groups.iter().map(Vec::len).max().unwrap_or(0);
        if widest == 0 {
            return Err(StatusCode::TEMPORARILY_UNAVAILABLE);
        }
        if widest > breadth_of(&request) as usize {
            // RFC 5393 §5.3.3.1: rather none than some, and the sender knows why
            return Err(StatusCode::MAX_BREADTH_EXCEEDED);
        }
        groups.reverse();
        let due = ctx.now.mono + limits::TIMER_C;
        let key = self.contexts.insert(Context {
            server,
            request,
            from,
            groups,
            record_route: plan.record_route,
            branches: Vec::new(),
            best: None,
            challenges: Vec::new(),
            answered: false,
            closed: false,
            due,
        });
        self.by_server.insert(server, key);
        self.due.insert((due, key));
        if server.is_invite() {
            ctx.tx.trying(ctx.now, server, ctx.acts);
        }
        self.next_group(ctx, key);
        Ok(())
    }

    /// Sends the hops of the next group. False when there is none.
    fn next_group<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>, key: Key<Context>) -> bool {
        let Some(context) = self.contexts.get_mut(key) else {
            return false;
        };
        if context.closed || context.answered {
            return false;
        }
        let Some(group) = context.groups.pop() else {
            return false;
        };
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX).max(1);
        let breadth = breadth_of(&context.request) / count;
        for hop in group {
            let record_route = context.record_route.then(|| {
                let token = Token {
                    caller: context.from,
                    callee: hop.way.flow,
                };
                // asked for on the way that the answer takes: UDP says so by saying nothing
                let transport = match hop.way.flow.transport {
                    Transport::Udp => String::new(),
                    other => format!(";transport={}", other.as_str().to_ascii_lowercase()),
                };
                let user = token.text(&self.key);
                format!("<sip:{user}@{}{transport};lr>", hop.sent_by)
            });
            let branch = ctx.tx.branch();
            let message = forward::request_for(
                &context.request,
                &hop,
                &branch,
                record_route.as_deref(),
                breadth.max(1),
            );
            let Some(message) = message else {
                continue;
            };
            let user = (ctx.user)(key.to_bits());
            let client = ctx
                .tx
                .send_request(ctx.now, hop.way.flow, message, user, ctx.acts);
            context.branches.push(Branch {
                client,
                open: true,
                cancelled: false,
            });
        }
        true
    }

    /// A response to a branch; `ticket` is what its user was made of.
    pub fn on_response<U: Copy>(
        &mut self,
        ctx: &mut Ctx<'_, U>,
        ticket: u64,
        client: ClientKey,
        response: &Message,
    ) {
        let key = Key::from_bits(ticket);
        let (Some(context), Some(status)) = (self.contexts.get_mut(key), response.status()) else {
            return;
        };
        let Some(branch) = context
            .branches
            .iter_mut()
            .find(|branch| branch.client == client)
        else {
            return;
        };
        let response = edit::pop_via(response);
        if response.vias().next().is_none() {
            // nothing below our Via: it was never the sender's (RFC 3261 §16.7 item 3)
            return;
        }
        match status.class() {
            1 => {
                // RFC 4320 §4.1: of anything but an INVITE the sender hears the end alone
                if context.answered || !context.server.is_invite() {
                    return;
                }
                ctx.tx.respond(ctx.now, context.server, response, ctx.acts);
                if !context.closed {
                    let due = ctx.now.mono + limits::TIMER_C;
                    self.rearm(key, due);
                }
            }
            2 => {
                branch.open = false;
                let server = context.server;
                context.answered = true;
                ctx.tx.respond(ctx.now, server, response, ctx.acts);
                // who answers repeats the answer until it is acknowledged: each copy is passed on, none is made here
                ctx.tx.acked(server);
                self.cancel_open(ctx, key, ClientCancel::Answered);
                self.linger(ctx, key);
            }
            _ => {
                branch.open = false;
                for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
                    if matches!(status.as_u16(), 401 | 407) {
                        for value in response.headers(name) {
                            context
                                .challenges
                                .push((name, Bytes::copy_from_slice(value)));
                        }
                    }
                }
                let better = context
                    .best
                    .as_ref()
                    .and_then(Message::status)
                    .is_none_or(|best| rank(status) < rank(best));
                if better {
                    context.best = Some(response);
                }
                if status.is_global_failure() {
                    // RFC 3261 §16.7 item 5: the others are asked to stop, their answers waited for
                    context.closed = true;
                    self.cancel_open(ctx, key, ClientCancel::Refused);
                }
                self.settle(ctx, key);
            }
        }
    }

    /// No final response came to a branch (408), or it could not be sent (503).
    pub fn on_lost<U: Copy>(
        &mut self,
        ctx: &mut Ctx<'_, U>,
        ticket: u64,
        client: ClientKey,
        unreachable: bool,
    ) {
        let key = Key::from_bits(ticket);
        let Some(context) = self.contexts.get_mut(key) else {
            return;
        };
        let Some(branch) = context
            .branches
            .iter_mut()
            .find(|branch| branch.client == client)
        else {
            return;
        };
        branch.open = false;
        let status = if unreachable {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::REQUEST_TIMEOUT
        };
        if context
            .best
            .as_ref()
            .and_then(Message::status)
            .is_none_or(|best| rank(status) < rank(best))
        {
            context.best = Some(
                Builder::response(&context.request, status, "")
                    .to_tag(b"proxy")
                    .finish(),
            );
        }
        self.settle(ctx, key);
    }

    /// Passes an ACK to a 2xx on, which belongs to no transaction (RFC 3261 §16.11).
    pub fn pass_ack<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>, ack: &Message, hop: &Hop) {
        let branch = ctx.tx.branch();
        let breadth = breadth_of(ack).max(1);
        if let Some(message) = forward::request_for(ack, hop, &branch, None, breadth) {
            ctx.acts.push(Act::Send {
                flow: hop.way.flow,
                message,
            });
        }
    }

    /// CANCEL of a forwarded INVITE (RFC 3261 §16.10). False when it is none of ours.
    pub fn on_cancel<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>, server: ServerKey) -> bool {
        let Some(&key) = self.by_server.get(&server) else {
            return false;
        };
        if let Some(context) = self.contexts.get_mut(key) {
            context.closed = true;
        }
        self.cancel_open(ctx, key, ClientCancel::Sender);
        self.settle(ctx, key);
        true
    }

    /// True when this request is being forwarded.
    pub fn knows(&self, server: ServerKey) -> bool {
        self.by_server.contains_key(&server)
    }

    /// When [`Proxy::on_time`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Timer C (RFC 3261 §16.8), and the end of what was kept for late answers.
    pub fn on_time<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>) {
        while let Some(&(at, key)) = self.due.first() {
            if at > ctx.now.mono {
                break;
            }
            self.due.pop_first();
            let Some(context) = self.contexts.get_mut(key) else {
                continue;
            };
            if context.answered {
                self.forget(key);
                continue;
            }
            if context.closed {
                // what was taken back never ended: its silence is its answer
                for branch in &mut context.branches {
                    branch.open = false;
                }
            } else {
                context.closed = true;
                self.cancel_open(ctx, key, ClientCancel::Timeout);
            }
            let due = at + limits::T1 * 64 + Duration::from_secs(1);
            self.rearm(key, due);
            self.settle(ctx, key);
        }
    }

    /// Answers the sender when no branch is open and no group is left.
    fn settle<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>, key: Key<Context>) {
        let Some(context) = self.contexts.get(key) else {
            return;
        };
        if context.answered || context.branches.iter().any(|branch| branch.open) {
            return;
        }
        if self.next_group(ctx, key) {
            // a hop that could not even be addressed leaves nothing open: the next one then
            return self.settle(ctx, key);
        }
        let Some(context) = self.contexts.get_mut(key) else {
            return;
        };
        context.answered = true;
        let best = context.best.take().unwrap_or_else(|| {
            Builder::response(&context.request, StatusCode::REQUEST_TIMEOUT, "")
                .to_tag(b"proxy")
                .finish()
        });
        let status = best.status().unwrap_or(StatusCode::REQUEST_TIMEOUT);
        let server = context.server;
        let silent = !server.is_invite() && status == StatusCode::REQUEST_TIMEOUT;
        let message = match status.as_u16() {
            // one dead branch says nothing about us (RFC 3261 §16.7 item 6)
            503 => Builder::response(&context.request, StatusCode::SERVER_INTERNAL_ERROR, "")
                .to_tag(b"proxy")
                .finish(),
            401 | 407 => {
                let mut message = best;
                for name in [Name::WwwAuthenticate, Name::ProxyAuthenticate] {
                    message = edit::remove(&message, name);
                }
                for (name, value) in std::mem::take(&mut context.challenges) {
                    message = edit::add(&message, name, &value);
                }
                message
            }
            _ => best,
        };
        if silent {
            // RFC 4320 §4.2: a 408 to anything but an INVITE comes too late to be believed; nobody waits for its transaction any more
            ctx.tx.answer_once(ctx.now, server, None, ctx.acts);
        } else {
            ctx.tx.respond(ctx.now, server, message, ctx.acts);
        }
        self.linger(ctx, key);
    }

    /// An answered context is kept while further 2xx of its branches may come (RFC 6026 §7.2), others are gone.
    fn linger<U: Copy>(&mut self, ctx: &Ctx<'_, U>, key: Key<Context>) {
        let Some(context) = self.contexts.get(key) else {
            return;
        };
        if !context.server.is_invite() {
            self.forget(key);
            return;
        }
        let due = ctx.now.mono + limits::T1 * 64;
        self.rearm(key, due);
    }

    fn rearm(&mut self, key: Key<Context>, due: Instant) {
        if let Some(context) = self.contexts.get_mut(key) {
            self.due.remove(&(context.due, key));
            context.due = due;
            self.due.insert((due, key));
        }
    }

    fn forget(&mut self, key: Key<Context>) {
        if let Some(context) = self.contexts.remove(key) {
            self.by_server.remove(&context.server);
            self.due.remove(&(context.due, key));
        }
    }

    fn cancel_open<U: Copy>(&mut self, ctx: &mut Ctx<'_, U>, key: Key<Context>, why: ClientCancel) {
        let Some(context) = self.contexts.get_mut(key) else {
            return;
        };
        if *context.request.method() != Method::Invite {
            return; // only an INVITE is cancelled (RFC 3261 §9.1)
        }
        for branch in &mut context.branches {
            if branch.open && !branch.cancelled {
                branch.cancelled = true;
                ctx.tx
                    .cancel(ctx.now, branch.client, why.reason(), ctx.acts);
            }
        }
    }
}

/// Why branches are cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientCancel {
    Answered,
    Refused,
    Sender,
    Timeout,
}

impl ClientCancel {
    /// RFC 3326 §2: a phone logs no missed call when somebody else took it.
    fn reason(self) -> Option<&'static [u8]> {
        match self {
            ClientCancel::Answered => Some(b"SIP;cause=200;text=\"Call completed elsewhere\""),
            ClientCancel::Refused | ClientCancel::Sender | ClientCancel::Timeout => None,
        }
    }
}

/// Branches that the request may still become (RFC 5393 §5.3.3).
fn breadth_of(request: &Message) -> u32 {
    let most = limits::FORK_BRANCHES_MAX as u32;
    request
        .header(Name::MaxBreadth)
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse::<u32>().ok())
        .map_or(most, |breadth| breadth.min(most))
}

/// The order in which refusals are preferred, best first (RFC 3261 §16.7 item 6): one that speaks for everybody, then the lowest class,
/// in it those that the sender can do something about.
fn rank(status: StatusCode) -> (u16, u16, u16) {
    let code = status.as_u16();
    let class = if status.is_global_failure() {
        0
    } else {
        status.class()
    };
    let helps = u16::from(!matches!(code, 401 | 407 | 415 | 420 | 484));
    // a timeout is what is said when nothing better is
    let late = if code == 408 { 999 } else { code };
    (class, helps, late)
}

#[cfg(test)]
mod tests;
