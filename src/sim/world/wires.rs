//! The world's wires: datagrams and connections between peers and the server.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Connection, Event, World};
use crate::base::Duration;
use crate::sim::actors::{Packet, Way};
use crate::sim::node::{NodeInput, Path};
use crate::sim::trace::Happening;

impl World {
    pub(super) fn actor_sends(&mut self, actor: usize, local: SocketAddr, way: Way, bytes: Bytes) {
        let Way {
            remote,
            stream,
            lane,
        } = way;
        self.trace.push(
            self.now,
            Happening::PeerSent {
                actor,
                to: remote,
                stream,
                bytes: bytes.clone(),
            },
        );
        let to_server = self.server_addresses.contains(&remote);
        if stream && to_server {
            let Some(id) = self.connection_between(actor, remote, Some(lane), None) else {
                self.push(self.now, Event::ActorClosed { actor, lane });
                return;
            };
            if self.connections.get(&id).is_some_and(|c| c.half_open) {
                return;
            }
            let link = self.peers[actor].link.clone();
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let at = link.stream(self.now, connection.to_node, &mut self.entropy);
            connection.to_node = at;
            let path = Path {
                stream: true,
                local: connection.server,
                remote: connection.peer,
                connection: Some(id),
            };
            self.push(at, Event::ToNodeFrom { actor, path, bytes });
            return;
        }
        let seen = if to_server {
            self.seen_from(actor, local)
        } else {
            local
        };
        for at in self.peers[actor].link.datagram(self.now, &mut self.entropy) {
            let event = if to_server {
                let path = Path {
                    stream: false,
                    local: remote,
                    remote: seen,
                    connection: None,
                };
                Event::ToNodeFrom {
                    actor,
                    path,
                    bytes: bytes.clone(),
                }
            } else if let Some(other) = self.owners.get(&remote) {
                Event::ToActor {
                    actor: *other,
                    packet: Packet {
                        way: Way::to(local, stream),
                        bytes: bytes.clone(),
                    },
                    connection: None,
                    through: None,
                }
            } else {
                return;
            };
            self.push(at, event);
        }
    }

    pub(super) fn node_sends(&mut self, path: Path, bytes: Bytes) {
        let by_connection = path
            .connection
            .and_then(|id| self.connections.get(&id))
            .map(|c| c.actor);
        let actor = by_connection.or_else(|| self.who_is_at(path.remote));
        self.trace.push(
            self.now,
            Happening::NodeSent {
                actor,
                path,
                bytes: bytes.clone(),
            },
        );
        if !self.server_addresses.contains(&path.local) {
            self.complaints.push(format!(
                "the server sent from {}, which is not its address",
                path.local
            ));
            return;
        }
        if path.stream {
            let id = match path.connection {
                Some(id) => self.connections.contains_key(&id).then_some(id),
                None => actor
                    .and_then(|a| self.connection_between(a, path.local, None, Some(path.remote))),
            };
            let Some(id) = id else {
                self.push(
                    self.now + Duration::from_millis(1),
                    Event::ToNode(NodeInput::SendFailed { path }),
                );
                return;
            };
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            if connection.half_open {
                return;
            }
            let (actor, lane) = (connection.actor, connection.lane);
            let link = self.peers[actor].link.clone();
            let at = link.stream(self.now, connection.to_actor, &mut self.entropy);
            connection.to_actor = at;
            let packet = Packet {
                way: Way {
                    remote: path.local,
                    stream: true,
                    lane,
                },
                bytes,
            };
            self.push(
                at,
                Event::ToActor {
                    actor,
                    packet,
                    connection: Some(id),
                    through: None,
                },
            );
            return;
        }
        let Some(actor) = actor else { return };
        for at in self.peers[actor].link.datagram(self.now, &mut self.entropy) {
            let packet = Packet {
                way: Way::to(path.local, false),
                bytes: bytes.clone(),
            };
            self.push(
                at,
                Event::ToActor {
                    actor,
                    packet,
                    connection: None,
                    through: Some(path.remote.port()),
                },
            );
        }
    }

    /// The open connection between a peer and a server address, or a new one if both are there.
    fn connection_between(
        &mut self,
        actor: usize,
        server: SocketAddr,
        lane: Option<u8>,
        peer: Option<SocketAddr>,
    ) -> Option<u64> {
        let listening = |a: SocketAddr| {
            self.peers
                .get(actor)
                .is_some_and(|p| p.actor.addresses().contains(&a))
        };
        let known = self.connections.iter().find(|(_, c)| {
            c.actor == actor
                && c.server == server
                && lane.is_none_or(|lane| c.lane == lane)
                && !(c.half_open && lane.is_some())
                && peer.is_none_or(|p| c.peer == p || listening(p))
        });
        if let Some((id, _)) = known {
            return Some(*id);
        }
        self.node.as_ref()?;
        if let Some(peer) = peer
            && !(listening(peer) && self.opens_to_peers(server))
        {
            return None;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        let own = self.peers.get(actor)?.actor.addresses().first().copied()?;
        let ephemeral = 40_000 + u16::try_from(id % 20_000).unwrap_or(0);
        self.connections.insert(
            id,
            Connection {
                actor,
                lane: lane.unwrap_or(0),
                half_open: false,
                peer: peer.unwrap_or(SocketAddr::new(own.ip(), ephemeral)),
                server,
                to_node: self.now,
                to_actor: self.now,
            },
        );
        Some(id)
    }

    /// A connection ends; who did not end it is told: after what is under way, or instead of it.
    pub(super) fn close(&mut self, id: u64, by_peer: bool, abrupt: bool) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        let soon = self.now + Duration::from_millis(5);
        if abrupt {
            self.reset.insert(id);
        }
        if by_peer {
            if connection.half_open {
                return; // nobody hears of it
            }
            let path = Path {
                stream: true,
                local: connection.server,
                remote: connection.peer,
                connection: Some(id),
            };
            let at = if abrupt {
                soon
            } else {
                soon.max(connection.to_node)
            };
            self.push(at, Event::NodeClosed { id, path });
        } else {
            self.push(
                soon.max(connection.to_actor),
                Event::ActorClosed {
                    actor: connection.actor,
                    lane: connection.lane,
                },
            );
        }
    }

    /// A peer closes its connections, or those of one lane, and knows it.
    pub(super) fn close_own(&mut self, actor: usize, lane: Option<u8>, abrupt: bool) {
        let own: Vec<(u64, u8)> = self
            .connections
            .iter()
            .filter(|(_, c)| c.actor == actor && lane.is_none_or(|lane| c.lane == lane))
            .map(|(id, c)| (*id, c.lane))
            .collect();
        for (id, _) in &own {
            self.close(*id, true, abrupt);
        }
        let mut lanes: Vec<u8> = own.into_iter().map(|(_, lane)| lane).collect();
        lanes.push(lane.unwrap_or(0));
        lanes.sort_unstable();
        lanes.dedup();
        for lane in lanes {
            self.push(self.now, Event::ActorClosed { actor, lane });
        }
    }

    /// Nothing passes on the connections of a peer any more. The kernel of the server finds out after one or two minutes.
    pub(super) fn half_open(&mut self, actor: usize) {
        let mut ends = Vec::new();
        for (id, connection) in &mut self.connections {
            if connection.actor == actor && !connection.half_open {
                connection.half_open = true;
                let path = Path {
                    stream: true,
                    local: connection.server,
                    remote: connection.peer,
                    connection: Some(*id),
                };
                ends.push((*id, path));
            }
        }
        for (id, path) in ends {
            let after = Duration::from_secs(60 + self.entropy.below(70));
            self.reset.insert(id);
            self.push(self.now + after, Event::NodeClosed { id, path });
        }
    }

    /// Whether the server opens connections from this address: not as a TLS or WebSocket server.
    fn opens_to_peers(&self, server: SocketAddr) -> bool {
        !matches!(server.port(), 5061 | 5066)
    }

    /// Where a datagram of a peer seems to come from.
    fn seen_from(&mut self, actor: usize, local: SocketAddr) -> SocketAddr {
        let Some(nat) = self.nats.get_mut(&actor) else {
            return local;
        };
        let (seen, moved) = nat.out(self.now);
        if moved {
            self.reached("NAT mapping changed");
        }
        seen
    }

    /// The peer that an address belongs to, itself or as its NAT.
    fn who_is_at(&self, address: SocketAddr) -> Option<usize> {
        let behind = || {
            self.nats
                .iter()
                .find(|(_, nat)| nat.ip() == address.ip())
                .map(|(actor, _)| *actor)
        };
        self.owners.get(&address).copied().or_else(behind)
    }

    /// Whether something that arrives for a peer reaches it.
    pub(super) fn passes(
        &mut self,
        actor: usize,
        connection: Option<u64>,
        through: Option<u16>,
    ) -> bool {
        if connection.is_some_and(|id| self.reset.contains(&id)) {
            return false;
        }
        if let (Some(nat), Some(port)) = (self.nats.get_mut(&actor), through)
            && !nat.admits(self.now, port)
        {
            self.reached("datagram for a forgotten NAT mapping");
            return false;
        }
        true
    }
}
