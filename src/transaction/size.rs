//! Requests too large for one packet: over TCP where the peer may take it, over UDP after all where it does not (RFC 3261 §18.1.1).
//!
//! Only peers that we find by themselves, gateways of trunks, are tried on TCP: a telephone is reached on the flow on which it
//! registered, and behind a NAT on no other. A peer that refused TCP is not asked again for ten minutes, because a firewall that
//! swallows the attempt costs each call the time until the attempt is given up.

use std::net::SocketAddr;

use crate::base::{Duration, Instant, Key, Map, Now};
use crate::sip::{Message, edit};
use crate::transport::{Flow, ProfileId, Transport};

use super::invite_client::{self, InviteClient};
use super::non_invite_client::{self, NonInviteClient};
use super::{Act, ClientKey, Kind, Owner, Timer, Transactions};

/// Longest request that goes over UDP to a peer that may take TCP, in bytes (RFC 3261 §18.1.1, where the MTU is not known).
const UDP_BYTES_MAX: usize = 1300;
/// How long a peer that refused TCP is not asked again (guess).
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// Where TCP may be tried.
#[derive(Default)]
pub(super) struct LargeRequests {
    /// By profile and peer: our listener for TCP, and until when the peer is not asked.
    peers: Map<(ProfileId, SocketAddr), (SocketAddr, Instant)>,
}

impl LargeRequests {
    /// The flow and the request as they leave, and the flow to fall back to if that is another one.
    pub(super) fn route(
        &self,
        now: Now,
        flow: Flow,
        request: Message,
    ) -> (Flow, Message, Option<Box<Flow>>) {
        let small = request.bytes().len() <= UDP_BYTES_MAX;
        if small || flow.transport != Transport::Udp {
            return (flow, request, None);
        }
        match self.peers.get(&(flow.profile, flow.remote)) {
            Some(&(local, refused_until)) if refused_until <= now.mono => {
                let tcp = Flow {
                    transport: Transport::Tcp,
                    local,
                    ..flow
                };
                let request = edit::via_transport(&request, Transport::Tcp.as_str().as_bytes());
                (tcp, request, Some(Box::new(flow)))
            }
            Some(_) | None => (flow, request, None),
        }
    }

    fn refused(&mut self, now: Now, flow: &Flow) {
        if let Some((_, until)) = self.peers.get_mut(&(flow.profile, flow.remote)) {
            *until = now.mono + REFUSED_FOR;
        }
    }
}

impl<U: Copy> Transactions<U> {
    /// Peers that may be sent large requests over TCP, each with the profile and with our address for it: the port must be that of
    /// the UDP flows, because sent-by stays as it is. What is known of those that were there before stays.
    pub fn large_over_tcp(
        &mut self,
        peers: impl Iterator<Item = (ProfileId, SocketAddr, SocketAddr)>,
    ) {
        let before = std::mem::take(&mut self.large.peers);
        self.large.peers = peers
            .map(|(profile, remote, local)| {
                let known = before.get(&(profile, remote));
                let until = known.map_or(Instant::ZERO, |(_, until)| *until);
                ((profile, remote), (local, until))
            })
            .collect();
    }

    /// An INVITE for which there was no TCP goes over UDP. False when it was not tried on TCP, or has been heard.
    pub(super) fn invite_over_udp(
        &mut self,
        now: Now,
        slot: Key<InviteClient<U>>,
        out: &mut Vec<Act<U>>,
    ) -> bool {
        let Some(client) = self.invite_clients.get_mut(slot) else {
            return false;
        };
        let unheard = client.state == invite_client::State::Calling;
        let Some(udp) = client.over_udp.take().filter(|_| unheard) else {
            return false;
        };
        self.large.refused(now, &udp);
        client.flow = *udp;
        client.request = edit::via_transport(&client.request, Transport::Udp.as_str().as_bytes());
        let owner = (
            Owner::Client(ClientKey(Kind::Invite, slot.to_bits())),
            Timer::A,
        );
        client
            .armed
            .start(&mut self.timers, now.mono, Timer::A, false, owner);
        out.push(Act::Send {
            flow: client.flow,
            message: client.request.clone(),
        });
        true
    }

    /// The same for any other request.
    pub(super) fn non_invite_over_udp(
        &mut self,
        now: Now,
        slot: Key<NonInviteClient<U>>,
        out: &mut Vec<Act<U>>,
    ) -> bool {
        let Some(client) = self.non_invite_clients.get_mut(slot) else {
            return false;
        };
        let unheard = client.state == non_invite_client::State::Trying;
        let Some(udp) = client.over_udp.take().filter(|_| unheard) else {
            return false;
        };
        self.large.refused(now, &udp);
        client.flow = *udp;
        client.request = edit::via_transport(&client.request, Transport::Udp.as_str().as_bytes());
        let owner = (
            Owner::Client(ClientKey(Kind::NonInvite, slot.to_bits())),
            Timer::E,
        );
        client
            .armed
            .start(&mut self.timers, now.mono, Timer::E, false, owner);
        out.push(Act::Send {
            flow: client.flow,
            message: client.request.clone(),
        });
        true
    }
}
