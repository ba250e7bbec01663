//! The rest of the shell as the shard reaches it: streams, media workers, names, and those who wait for answers.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::handle::Replies;
use super::media::Workers;
use super::outlet::{Query, World};
use super::resolve::NameService;
use super::tcp::Streams;
use crate::media::MediaCommand;
use crate::switch::Reply;
use crate::transport::{ConnectionId, Flow, ProfileId};

/// The real world; tests have their own.
pub struct Outside {
    /// TCP, TLS, WebSocket.
    pub streams: Streams,
    /// RTP.
    pub workers: Workers,
    /// DNS.
    pub names: NameService,
    /// API.
    pub replies: Arc<Replies>,
}

impl World for Outside {
    fn stream(&mut self, flow: Flow, bytes: Bytes) {
        self.streams.send(flow, bytes);
    }
    fn expect(&mut self, profile: ProfileId, remote: SocketAddr, host: &str, trunk: Arc<str>) {
        self.streams.expect(profile, remote, host, trunk);
    }
    fn alias(&mut self, connection: ConnectionId, remote: SocketAddr) {
        self.streams.alias(connection, remote);
    }
    fn close(&mut self, connection: ConnectionId) {
        self.streams.close(connection);
    }
    fn media(&mut self, command: MediaCommand) {
        self.workers.queue(command);
    }
    fn batch_ends(&mut self) {
        self.workers.ring();
    }
    fn resolve(&mut self, query: Query) {
        self.names.resolve(query);
    }
    fn reply(&mut self, id: u64, reply: Reply) {
        self.replies.deliver(id, reply);
    }
}
