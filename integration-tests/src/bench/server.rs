//! A server under load, whoever made it: where it listens, whose processes it is, where its
//! letters end. Posthaste is set up here; peers in files of their own.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Way;
use crate::{Conversation, Instance, Service};

/// The domain that all servers host.
pub const DOMAIN: &str = "bench.test";
/// Mailboxes of each server.
pub const BOXES: usize = 10;
/// Where relayed letters go; nobody asks DNS about it.
const ELSEWHERE: &str = "elsewhere.test";

/// A running server; dropped, it ends.
pub struct Server {
    /// Its name in tables.
    pub name: &'static str,
    /// Where it takes mail.
    pub smtp: SocketAddr,
    /// The process above all of its processes.
    pub root: u32,
    /// The Maildirs of its mailboxes.
    pub maildirs: Vec<PathBuf>,
    /// Addresses to send to, one per mailbox.
    pub recipients: Vec<String>,
    pub(super) _life: Box<dyn Any>,
}

impl Server {
    /// Letters in all Maildirs that any Maildir program would see.
    pub fn letters(&self) -> usize {
        let folders = self.maildirs.iter().flat_map(|dir| [dir.join("new"), dir.join("cur")]);
        folders.filter_map(|folder| std::fs::read_dir(folder).ok()).map(Iterator::count).sum()
    }

    pub(super) fn await_greeting(&self) {
        crate::wait::until("the server listens", || {
            std::net::TcpStream::connect(self.smtp).ok().map(drop)
        });
        let mut hello = Conversation::open(self.smtp);
        hello.expect("220 ");
    }
}

/// Starts a Posthaste for a way; `sink` is where everything else goes.
pub fn posthaste(way: Way, sink: SocketAddr) -> Server {
    let mut builder = Instance::of(DOMAIN)
        // As shipped, but for the bound on what one address may open: all load has one address.
        .set("storage.log_segment", "\"16MB\"")
        .set("limits.sessions_per_address", "1000")
        .set("mta.routes", format!("{{ \"*\" = \"smtp:{sink}\" }}"));
    for number in 0..BOXES {
        builder = builder.account(&format!("box{number}"), "never used");
    }
    let instance = builder.start();
    let relayed = |number: usize| format!("away{number}@{DOMAIN}");
    let mut recipients = Vec::new();
    for number in 0..BOXES {
        if way == Way::Relay {
            // From outside nothing may be relayed but what an alias sends on.
            let to = format!("box{number}@{ELSEWHERE}");
            assert_eq!(instance.run(&["alias", "add", &relayed(number), &to]).code, 0);
            recipients.push(relayed(number));
        } else {
            recipients.push(format!("box{number}@{DOMAIN}"));
        }
    }
    let up = instance.agent("up").expect("it was started");
    Server {
        name: "Posthaste",
        smtp: instance.at(Service::Smtp),
        root: up,
        maildirs: (0..BOXES).map(|number| instance.maildir(&format!("box{number}"))).collect(),
        recipients,
        _life: Box::new(instance),
    }
}
