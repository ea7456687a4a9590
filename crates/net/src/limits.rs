//! Every bound of this crate, with its unit and its reason. Limits that an administrator may set
//! live in `service::config`; those here protect the process itself.

use std::time::Duration;

/// Bytes read at once, into a buffer shared by all sessions of a thread: an idle session holds no
/// read buffer. 64 KiB is what a pipe or socket hands over in one call.
pub const READ_CHUNK: usize = 64 * 1024;

/// Bytes waiting to be sent above which a session reads no more input and takes no more output
/// from its machine: memory per peer that never reads.
pub const OUTPUT_HIGH: usize = 64 * 1024;

/// Bytes of capacity an idle session may keep for output; above, the buffer is given back.
pub const OUTPUT_KEEP: usize = 4 * 1024;

/// How long a peer may accept no byte of what waits for it. RFC 5321 §4.5.3.2.5 gives a block of
/// data 3 minutes; shorter would drop phones in tunnels, longer would keep dead peers.
pub const WRITE_STALL: Duration = Duration::from_secs(180);

/// How long after our last byte we read and discard, so that the peer's system does not throw our
/// last reply away on a reset.
pub const LINGER: Duration = Duration::from_secs(1);

/// Bytes discarded while lingering, at most: a peer that keeps pushing a letter is cut off.
pub const LINGER_BYTES: usize = 8 * 1024 * 1024;

/// How long a connection may go on after the peer closed its side and the machine has no deadline
/// of its own: longer than any answer an agent waits for (60 s for the MDA).
pub const HALF_CLOSED: Duration = Duration::from_secs(600);

/// Events handed out in a row before the loop yields, so that a busy peer does not starve others
/// on the same thread.
pub const EVENTS_PER_TURN: u32 = 64;

/// How long a TLS handshake may take, both ways. Seconds are enough for a phone; a peer that sends
/// nothing costs a socket only this long.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

/// Handshakes of one process at once: each costs about 1 ms of CPU and 50 KiB.
pub const HANDSHAKES: usize = 128;

/// Connections that the kernel keeps for us before `accept`: a burst of senders after an outage.
pub const BACKLOG: i32 = 1024;

/// Longest socket path that `sockaddr_un` takes, without its final zero.
pub const UNIX_PATH: usize = 107;

/// Connections being turned away with a line at once; above, they are closed without a word.
pub const TURNED_AWAY: usize = 64;

/// How long a connection that is turned away gets to read the reason.
pub const TURN_AWAY_WAIT: Duration = Duration::from_secs(3);

/// How often a listening Unix socket looks whether its name is still there: mail waits in the
/// queue meanwhile, and a look costs one system call.
pub const NAME_CHECK: Duration = Duration::from_secs(2);

/// How long to wait when `accept` fails because the process has no file descriptor left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Names kept in the DNS cache.
pub const DNS_CACHE: u64 = 8192;

/// How long one DNS question may take with all repetitions, before it counts as a temporary
/// failure.
pub const DNS_TOTAL: Duration = Duration::from_secs(20);

/// How long one DNS server is given for one answer.
pub const DNS_ATTEMPT: Duration = Duration::from_secs(4);

/// Longest time that a DNS answer is believed (RFC 8767 §4 recommends at most 7 days; a day lets
/// mistakes heal).
pub const DNS_MAX_TTL: Duration = Duration::from_secs(86_400);

/// Records of one answer that are looked at: more MX or addresses than this help nobody.
pub const DNS_RECORDS: usize = 64;

/// IPC connections served at once per socket.
pub const IPC_CONNECTIONS: usize = 256;

/// IPC requests of one connection worked on at once; further ones wait in the socket.
pub const IPC_IN_FLIGHT: usize = 64;

/// Idle IPC connections that a client keeps for the next call.
pub const IPC_POOL: usize = 8;

/// How long an IPC peer may take to accept a frame, or to say hello.
pub const IPC_WRITE: Duration = Duration::from_secs(10);

/// Longest answer of a web server that is read, header included. RFC 8461 §3.3 suggests 64 KiB for
/// a policy.
pub const HTTPS_BODY: usize = 72 * 1024;

/// How long a document may take in all. RFC 8461 §3.3 suggests a minute; letters wait for it.
pub const HTTPS_TOTAL: Duration = Duration::from_secs(30);

/// Octets compressed or decompressed at once.
pub const DEFLATE_CHUNK: usize = 8 * 1024;

/// Compressed octets that wait for a slow peer before nothing more is compressed.
pub const DEFLATE_WAITING: usize = 32 * 1024;

/// Octets of a PROXY header of version 2 after its first sixteen: addresses and a few notes.
pub const PROXY_HEADER: usize = 2048;

/// How long a proxy may take to say for whom it speaks. It says so at once.
pub const PROXY_WAIT: Duration = Duration::from_secs(5);

/// Connections of proxies at once of which it is not known yet for whom they are.
pub const PROXIED: usize = 256;

/// Mailboxes of one client certificate that are looked at: people have a handful of addresses.
pub const CLIENT_MAILBOXES: usize = 16;
