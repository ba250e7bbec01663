//! Limits that nobody should have to change, each with its source.

use super::time::Duration;

/// RFC 3261 §17.1.1.1: estimate of the round-trip time.
pub const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: longest interval between retransmissions of non-INVITE requests and INVITE responses.
pub const T2: Duration = Duration::from_secs(4);
/// RFC 3261 §17.1.2.2: longest time that a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);
/// RFC 3261 §16.6 item 11: how long a proxied or forked INVITE may ring without a final response.
pub const TIMER_C: Duration = Duration::from_secs(180);

/// Largest SIP message that we take, in bytes: the largest UDP payload, so that UDP and streams agree.
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// Most header fields in one message (guess; the largest seen in the field have about 60).
pub const HEADERS_MAX: usize = 256;
/// Time in which a new connection must deliver its first complete request (reliability gate on slow peers).
pub const FIRST_MESSAGE_MAX: Duration = Duration::from_secs(5);
/// Unwritten bytes that a connection may have queued before it is cut (reliability gate on slow peers).
pub const WRITE_QUEUE_BYTES_MAX: usize = 64 * 1024;
/// How long a freed RTP port rests before it is given out again, so that late packets find nobody.
pub const PORT_QUARANTINE: Duration = Duration::from_secs(10);
/// Most branches that one fork may have (RFC 5393 §5.3.3, Max-Breadth).
pub const FORK_BRANCHES_MAX: usize = 60;
/// Queues that one agent may serve (requirement D-04).
pub const QUEUES_PER_AGENT_MAX: usize = 100;
