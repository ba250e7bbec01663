//! The world's wires: datagrams and connections between peers and the server.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Connection, Event, World};
use crate::base::Duration;
use crate::sim::actors::Packet;
use crate::sim::node::{NodeInput, Path};
use crate::sim::trace::Happening;

impl World {
    pub(super) fn actor_sends(
        &mut self,
        actor: usize,
        local: SocketAddr,
        remote: SocketAddr,
        stream: bool,
        bytes: Bytes,
    ) {
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
            let Some(id) = self.connection_between(actor, remote, None) else {
                self.push(self.now, Event::ActorClosed { actor });
                return;
            };
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
        for at in self.peers[actor].link.datagram(self.now, &mut self.entropy) {
            let event = if to_server {
                let path = Path {
                    stream: false,
                    local: remote,
                    remote: self.public.get(&local).copied().unwrap_or(local),
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
                        from: local,
                        stream,
                        bytes: bytes.clone(),
                    },
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
        let actor = by_connection.or_else(|| self.owners.get(&path.remote).copied());
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
                None => {
                    actor.and_then(|a| self.connection_between(a, path.local, Some(path.remote)))
                }
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
            let actor = connection.actor;
            let link = self.peers[actor].link.clone();
            let at = link.stream(self.now, connection.to_actor, &mut self.entropy);
            connection.to_actor = at;
            let packet = Packet {
                from: path.local,
                stream: true,
                bytes,
            };
            self.push(at, Event::ToActor { actor, packet });
            return;
        }
        let Some(actor) = actor else { return };
        for at in self.peers[actor].link.datagram(self.now, &mut self.entropy) {
            let packet = Packet {
                from: path.local,
                stream: false,
                bytes: bytes.clone(),
            };
            self.push(at, Event::ToActor { actor, packet });
        }
    }

    /// The open connection between a peer and a server address, or a new one if both are there.
    fn connection_between(
        &mut self,
        actor: usize,
        server: SocketAddr,
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
                && peer.is_none_or(|p| c.peer == p || listening(p))
        });
        if let Some((id, _)) = known {
            return Some(*id);
        }
        self.node.as_ref()?;
        if let Some(peer) = peer
            && !listening(peer)
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
                peer: peer.unwrap_or(SocketAddr::new(own.ip(), ephemeral)),
                server,
                to_node: self.now,
                to_actor: self.now,
            },
        );
        Some(id)
    }

    /// A connection ends; who did not end it is told.
    pub(super) fn close(&mut self, id: u64, by_peer: bool) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if by_peer {
            let path = Path {
                stream: true,
                local: connection.server,
                remote: connection.peer,
                connection: Some(id),
            };
            self.push(
                self.now + Duration::from_millis(5),
                Event::ToNode(NodeInput::Closed { path }),
            );
        } else {
            self.push(
                self.now + Duration::from_millis(5),
                Event::ActorClosed {
                    actor: connection.actor,
                },
            );
        }
    }
}
