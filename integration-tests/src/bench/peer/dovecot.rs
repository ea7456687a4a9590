//! Dovecot as a peer: IMAP over Maildirs, LMTP for a transfer agent in front, and SASL for its
//! submission. Maildir and `mail_fsync = optimized` are Debian's defaults.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::imap::Door;
use super::super::place::Place;
use super::super::server::{BOXES, DOMAIN, Life, PASSWORD, Server, await_listener};
use super::{OWNER, Running, folder_of, maildirs, packages};
use crate::address::Address;

const PACKAGES: [&str; 3] = ["dovecot-core", "dovecot-imapd", "dovecot-lmtpd"];
const PROGRAM: &str = "/usr/sbin/dovecot";
const IMAP: u16 = 10_143;
const IMAPS: u16 = 10_993;
const LMTP: u16 = 10_024;
const SASL: u16 = 10_012;

/// A Dovecot; dropped, it ends.
pub struct Dovecot {
    running: Option<Running>,
    address: Address,
    place: Place,
}

/// Starts one.
///
/// # Errors
///
/// It cannot be installed, configured or started.
pub fn start(place: Place) -> io::Result<Dovecot> {
    packages::installed(&PACKAGES)?;
    let root = place.path().to_owned();
    let address = Address::take();
    maildirs(&folder_of(&root.join("mail"), 0o755)?)?;
    let home = folder_of(&root.join("home"), 0o755)?;
    std::os::unix::fs::chown(&home, Some(OWNER), Some(OWNER))?;
    folder_of(&root.join("run"), 0o755)?;
    certificate(&root)?;
    let users = (0..BOXES).map(|n| format!("box{n}@{DOMAIN}:{{PLAIN}}{PASSWORD}\n"));
    std::fs::write(root.join("users"), users.collect::<String>())?;
    folder_of(&root, 0o755)?;
    std::fs::write(root.join("dovecot.conf"), configuration(&root, &address))?;
    let mut dovecot = Dovecot { running: None, address, place };
    dovecot.start()?;
    Ok(dovecot)
}

/// A certificate for its TLS, P-256 as ours.
pub(super) fn certificate(root: &Path) -> io::Result<()> {
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let params = rcgen::CertificateParams::new(vec![format!("mx.{DOMAIN}")]);
    let signed = params.and_then(|params| params.self_signed(&key)).map_err(io::Error::other)?;
    std::fs::write(root.join("cert.pem"), signed.pem())?;
    std::fs::write(root.join("key.pem"), key.serialize_pem())
}

impl Dovecot {
    /// The server, for readers.
    pub fn server(self) -> Server {
        let ip = self.address.ip();
        let mail = self.mail();
        Server {
            name: "Dovecot",
            version: version(),
            smtp: None,
            submission: None,
            imap: Some(Door {
                server: (ip, IMAP).into(),
                user: format!("box0@{DOMAIN}"),
                password: PASSWORD.into(),
            }),
            imaps: Some((ip, IMAPS).into()),
            roots: self.running.iter().map(Running::id).collect(),
            maildirs: (0..BOXES).map(|number| mail.join(format!("box{number}"))).collect(),
            recipients: Vec::new(),
            letter: None,
            life: Box::new(self),
        }
    }

    /// Where its Maildirs are.
    pub fn mail(&self) -> PathBuf {
        self.place.path().join("mail")
    }

    /// Where it takes letters of a transfer agent.
    pub(super) fn lmtp(&self) -> SocketAddr {
        (self.address.ip(), LMTP).into()
    }

    /// Where it says who has the right password.
    pub(super) fn sasl(&self) -> SocketAddr {
        (self.address.ip(), SASL).into()
    }

    /// The process above all of its processes.
    pub(super) fn root(&self) -> Option<u32> {
        self.running.as_ref().map(Running::id)
    }
}

impl Life for Dovecot {
    fn stop(&mut self) -> io::Result<()> {
        self.running = None;
        Ok(())
    }

    fn start(&mut self) -> io::Result<Vec<u32>> {
        let root = self.place.path();
        let mut command = Command::new(PROGRAM);
        command.arg("-F").arg("-c").arg(root.join("dovecot.conf"));
        let running = Running::start(&mut command, &root.join("out.log"))?;
        let id = running.id();
        self.running = Some(running);
        await_listener((self.address.ip(), IMAP).into());
        await_listener(self.lmtp());
        Ok(vec![id])
    }

    /// Its index and cache files; `dovecot-uidlist` is where its UIDs are and stays.
    fn forget(&mut self) -> io::Result<()> {
        for maildir in std::fs::read_dir(self.mail())?.flatten() {
            for entry in std::fs::read_dir(maildir.path())?.flatten() {
                if entry.file_name().to_str().is_some_and(|n| n.starts_with("dovecot.index")) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Name and version.
pub(super) fn version() -> String {
    format!("Dovecot {}", packages::version(PACKAGES[0]).unwrap_or_default())
}

/// Debian's defaults but for places, ports and accounts; raised: connections of one user from one
/// address, and processes of a service, since one client holds hundreds.
fn configuration(root: &Path, address: &Address) -> String {
    let (at, ip) = (root.display(), address.ip());
    let listener = |service: &str, name: &str, more: &str| {
        format!("service {service} {{\n  inet_listener {name} {{\n    {more}\n  }}\n}}\n")
    };
    format!(
        "base_dir = {at}/run\ninstance_name = bench\nprotocols = imap lmtp\nlisten = {ip}\n\
         log_path = {at}/dovecot.log\nssl = yes\nssl_cert = <{at}/cert.pem\n\
         ssl_key = <{at}/key.pem\ndisable_plaintext_auth = no\nauth_mechanisms = plain\n\
         mail_location = maildir:{at}/mail/%n\nfirst_valid_uid = 1\n\
         mail_max_userip_connections = 5000\n\
         passdb {{\n  driver = passwd-file\n  args = {at}/users\n}}\n\
         userdb {{\n  driver = static\n  args = uid={OWNER} gid={OWNER} home={at}/home/%n\n}}\n\
         namespace inbox {{\n  inbox = yes\n}}\n\
         service imap-login {{\n  process_limit = 2500\n  inet_listener imap {{\n    port = {IMAP}\n  }}\n  \
         inet_listener imaps {{\n    port = {IMAPS}\n    ssl = yes\n  }}\n}}\n\
         service imap {{\n  process_limit = 2500\n}}\n\
         service stats {{\n  client_limit = 4000\n}}\nservice anvil {{\n  client_limit = 4000\n}}\n\
         {}{}",
        listener("lmtp", "lmtp", &format!("address = {ip}\n    port = {LMTP}")),
        listener("auth", "sasl", &format!("address = {ip}\n    port = {SASL}")),
    )
}
