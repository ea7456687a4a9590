//! A loopback address for each instance, safe among any number of tests and processes.
//!
//! Linux answers on all of 127.0.0.0/8, so instances need not share ports: each has an address of
//! its own and the same port offset. A UDP socket held on the address is the lock.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// What `--port-offset` is set to: SMTP on 10025, IMAPS on 10993.
pub const PORT_OFFSET: u16 = 10_000;
/// The port whose holder owns the address.
const LOCK_PORT: u16 = 10_007;
/// Addresses are taken from 127.64.0.0/10, away from 127.0.0.0/16 that people and the demo use.
const FIRST: u32 = 0x7f40_0000;
const COUNT: u32 = 1 << 22;

/// A loopback address that nobody else in this machine's tests has.
#[derive(Debug)]
pub struct Address {
    ip: Ipv4Addr,
    _lock: UdpSocket,
}

impl Address {
    /// Takes a free address.
    pub fn take() -> Address {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let start = std::process::id().wrapping_mul(2_654_435_761);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let ip = Ipv4Addr::from(FIRST + start.wrapping_add(step) % COUNT);
            // .0 and .255 are legal here, and confuse people.
            if matches!(ip.octets()[3], 0 | 255) {
                continue;
            }
            if let Ok(lock) = UdpSocket::bind((ip, LOCK_PORT)) {
                return Address { ip, _lock: lock };
            }
        }
        panic!("no free loopback address");
    }

    /// The address.
    pub fn ip(&self) -> IpAddr {
        IpAddr::V4(self.ip)
    }
}

/// The standard ports of the services, before the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Service {
    /// Mail from other domains.
    Smtp = 25,
    /// Submission with TLS from the first byte.
    Submissions = 465,
    /// Submission with STARTTLS.
    Submission = 587,
    /// IMAP with STARTTLS.
    Imap = 143,
    /// IMAP with TLS from the first byte.
    Imaps = 993,
    /// POP3 with STLS.
    Pop3 = 110,
    /// POP3 with TLS from the first byte.
    Pop3s = 995,
    /// Looking after Sieve scripts, with STARTTLS.
    ManageSieve = 4190,
}

impl Service {
    /// The port in an instance of the tests.
    pub fn port(self) -> u16 {
        self as u16 + PORT_OFFSET
    }
}
