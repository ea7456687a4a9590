//! A server under load, whoever made it: where it listens, whose processes it is, where its
//! letters end. Posthaste is set up here; peers in `peer`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::Way;
use super::imap::{Door, Imap};
use super::place::Place;
use super::signed::Signed;
use crate::{Conversation, Instance, Service};

/// The domain that all servers host.
pub const DOMAIN: &str = "bench.test";
/// Mailboxes of each peer, named `box0` and on.
pub const BOXES: usize = 100;
/// The password of all of them.
pub const PASSWORD: &str = "open sesame 7";
/// Where relayed letters go; nobody asks DNS about it.
const ELSEWHERE: &str = "elsewhere.test";

/// A running server; dropped, it ends.
pub struct Server {
    /// Its name in tables.
    pub name: &'static str,
    /// Its name with its version.
    pub version: String,
    /// Where it takes mail.
    pub smtp: Option<SocketAddr>,
    /// Where it takes mail of its users, after STARTTLS and AUTH.
    pub submission: Option<SocketAddr>,
    /// Where its users read.
    pub imap: Option<Door>,
    /// The same under TLS.
    pub imaps: Option<SocketAddr>,
    /// The processes above all of its processes.
    pub roots: Vec<u32>,
    /// The Maildirs of its mailboxes.
    pub maildirs: Vec<PathBuf>,
    /// Addresses to send to, one per mailbox.
    pub recipients: Vec<String>,
    /// The letter that it is sent each time; `None`: made as they are sent.
    pub letter: Option<Vec<u8>>,
    /// Its processes and folders.
    pub life: Box<dyn Life>,
}

/// What can be done to a server besides loading it. Dropped, it ends.
pub trait Life: Send + Sync {
    /// Ends its processes, so that [`Life::start`] finds everything it has to keep.
    ///
    /// # Errors
    ///
    /// It cannot be stopped.
    fn stop(&mut self) -> io::Result<()> {
        Err(io::Error::other("this server is not restarted"))
    }

    /// Starts them again; the answer is the new roots.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    fn start(&mut self) -> io::Result<Vec<u32>> {
        Err(io::Error::other("this server is not restarted"))
    }

    /// Throws away whatever it keeps only to be faster, while it is stopped.
    ///
    /// # Errors
    ///
    /// Files that cannot be removed.
    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Server {
    /// Letters that are in their mailboxes: where people read over IMAP, as IMAP tells; where they
    /// do not, files that any Maildir program would see.
    pub fn letters(&self, readers: &mut [Imap]) -> usize {
        if readers.is_empty() {
            let folders = self.maildirs.iter().flat_map(|dir| [dir.join("new"), dir.join("cur")]);
            let lists = folders.filter_map(|folder| std::fs::read_dir(folder).ok());
            return lists.map(Iterator::count).sum();
        }
        readers.iter_mut().map(|reader| messages(reader).unwrap_or(0)).sum()
    }

    /// A reader for each of the first `boxes` mailboxes, where people read over IMAP.
    ///
    /// # Errors
    ///
    /// What the first login met.
    pub fn readers(&self, boxes: usize) -> Result<Vec<Imap>, String> {
        let Some(door) = &self.imap else { return Ok(Vec::new()) };
        let readers = (0..boxes.max(1)).map(|number| {
            let door = Door { user: format!("box{number}@{DOMAIN}"), ..door.clone() };
            Imap::enter(&door).map_err(|error| format!("{}: {error}", self.name))
        });
        readers.collect()
    }

    pub(super) fn await_greeting(&self) {
        let Some(smtp) = self.smtp else { return };
        await_listener(smtp);
        Conversation::open(smtp).expect("220 ");
    }

    /// Stops and starts it, with or without what it keeps only to be faster, and nothing of it in
    /// the page cache.
    ///
    /// # Errors
    ///
    /// It does not come back.
    pub fn restart(&mut self, keeping: Keeping) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {error}", self.name);
        self.life.stop().map_err(failed)?;
        if keeping == Keeping::Truth {
            self.life.forget().map_err(failed)?;
        }
        super::medium::drop_caches();
        self.roots = self.life.start().map_err(failed)?;
        if let Some(door) = &self.imap {
            await_listener(door.server);
        }
        Ok(())
    }
}

/// What a restarted server finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Everything.
    Everything,
    /// All but what can be made again.
    Truth,
}

/// Waits until something listens there.
pub(super) fn await_listener(address: SocketAddr) {
    crate::wait::until("the server listens", || {
        std::net::TcpStream::connect(address).ok().map(drop)
    });
}

/// How many letters INBOX has.
fn messages(reader: &mut Imap) -> io::Result<usize> {
    let answer = reader.command("STATUS INBOX (MESSAGES)")?;
    let count = answer.start.split("MESSAGES ").nth(1).and_then(|rest| rest.split(')').next());
    count.and_then(|count| count.trim().parse().ok()).ok_or_else(|| io::Error::other(answer.start))
}

/// Starts a Posthaste with so many mailboxes for a way; `sink` is where everything else goes.
/// Like its peers it asks nobody about senders; [`checking`] does.
pub fn posthaste(way: Way, sink: SocketAddr, place: Place, boxes: usize) -> Server {
    let off = ["spf", "dkim", "dmarc", "iprev", "junk_filter"];
    let settings: Vec<_> =
        off.iter().map(|key| (format!("antispam.{key}"), "false".to_owned())).collect();
    start((way, sink), (place, boxes), &settings)
}

/// Starts a Posthaste that checks SPF, DKIM and DMARC by this name server, and knows the letters
/// that are sent to it.
pub fn checking(sink: SocketAddr, place: Place, world: &Signed) -> Server {
    let settings = [
        ("dns.servers".to_owned(), format!("[\"{}\"]", world.dns.address())),
        ("antispam.iprev".to_owned(), "false".to_owned()),
        ("antispam.junk_filter".to_owned(), "false".to_owned()),
    ];
    let server = start((Way::Inbound, sink), (place, 1), &settings);
    Server { letter: Some(world.letter.clone()), version: "checking".into(), ..server }
}

fn start(
    (way, sink): (Way, SocketAddr),
    (place, boxes): (Place, usize),
    settings: &[(String, String)],
) -> Server {
    let mut builder = Instance::of(DOMAIN)
        // As shipped, but for the bounds that only a load from a single address meets.
        .set("storage.log_segment", "\"16MB\"")
        .set("limits.message_size", "\"100MB\"")
        .set("limits.sessions", "5000")
        .set("limits.sessions_per_address", "5000")
        .set("limits.commands_per_session", "0")
        .set("limits.submission_recipients_per_hour", "10000000")
        .set("mta.routes", format!("{{ \"*\" = \"smtp:{sink}\" }}"))
        .cleartext_login();
    for (key, value) in settings {
        builder = builder.set(key, value.clone());
    }
    for number in 0..boxes {
        builder = builder.account(&format!("box{number}"), PASSWORD);
    }
    if let Place::Kept(path) = &place {
        builder = builder.kept_in(path);
    }
    let instance = builder.start();
    let relayed = |number: usize| format!("away{number}@{DOMAIN}");
    let mut recipients = Vec::new();
    for number in 0..boxes {
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
    let user = format!("box0@{DOMAIN}");
    let imap = Door { server: instance.at(Service::Imap), user, password: PASSWORD.into() };
    Server {
        name: "Posthaste",
        version: format!("Posthaste {}", env!("CARGO_PKG_VERSION")),
        smtp: Some(instance.at(Service::Smtp)),
        submission: Some(instance.at(Service::Submission)),
        imap: Some(imap),
        imaps: Some(instance.at(Service::Imaps)),
        roots: vec![up],
        maildirs: (0..boxes).map(|number| instance.maildir(&format!("box{number}"))).collect(),
        recipients,
        letter: None,
        life: Box::new(Ours { instance, _place: place }),
    }
}

struct Ours {
    instance: Instance,
    _place: Place,
}

impl Life for Ours {
    fn stop(&mut self) -> io::Result<()> {
        self.instance.stop();
        Ok(())
    }

    fn start(&mut self) -> io::Result<Vec<u32>> {
        self.instance.up();
        Ok(self.instance.agent("up").into_iter().collect())
    }

    fn forget(&mut self) -> io::Result<()> {
        match std::fs::remove_dir_all(self.instance.data().join("index")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
