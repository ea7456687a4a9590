//! One IMAP session: from the connection to the goodbye, one command after the other. What each
//! command does is in the file of its family.

use std::net::IpAddr;
use std::sync::Arc;

use mailbox::{AccountId, AccountView, Quota};
use net::Driver;
use net::stream::{Peer, Stream};
use protocol::imap::command::Command;
use protocol::imap::server::{CleartextLogin, Event, Options, Server, Tls};
use protocol::imap::{Condition, StatusText, Untagged};
use protocol::machine::TlsFacts;
use service::config::Config;
use service::login::Door;

use super::enable::Enabled;
use super::failure::{Failure, Outcome};
use super::selected::{Expunges, Selected, Telling};
use super::{Retrieval, limits};

/// Which port the client came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// 143: TLS by STARTTLS.
    Plain,
    /// 993: TLS from the first octet (RFC 8314 §3.2).
    Tls,
    /// `run/imap.sock`: who may open it may open every mailbox (see `Session::local_login`).
    Local,
}

/// A session.
pub(super) struct Session {
    pub(super) shared: Retrieval,
    pub(super) driver: Driver<Server>,
    pub(super) peer: Option<IpAddr>,
    pub(super) entry: Entry,
    /// Set by the login.
    pub(super) user: Option<User>,
    /// Set by SELECT and EXAMINE.
    pub(super) selected: Option<Selected>,
    /// What the client asked for with ENABLE, or by using it.
    pub(super) enabled: Enabled,
    /// COMPRESS is on.
    pub(super) compressed: bool,
    pub(super) login_failures: u32,
    pub(super) scanned: super::content::Scanned,
}

/// Who has logged in.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) account: AccountId,
    /// The address, for the journey and for asking the directory.
    pub(super) address: String,
}

/// Announced after the login, besides what the machine does. Only what is whole.
const EXTENSIONS: [&str; 34] = [
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "UNSELECT",
    "CHILDREN",
    "MOVE",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "SORT",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "CONDSTORE",
    "QRESYNC",
    "UTF8=ACCEPT",
    "MULTIAPPEND",
    "REPLACE",
    "BINARY",
    "OBJECTID",
    "SAVEDATE",
    "PREVIEW",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "METADATA",
    "METADATA-SERVER",
    "INPROGRESS",
    "COMPRESS=DEFLATE",
];

fn extensions(message_size: u64) -> Vec<String> {
    let mut all: Vec<String> = EXTENSIONS.map(String::from).into();
    // RFC 7889 §2: one limit for all mailboxes.
    all.push(format!("APPENDLIMIT={message_size}"));
    all
}

impl Session {
    /// Greets, after the TLS handshake where TLS comes first. `None`: there was none.
    pub(super) async fn begin(
        shared: Retrieval,
        mut stream: Stream,
        peer: Peer,
        entry: Entry,
    ) -> Option<Session> {
        let mut facts = None;
        if entry == Entry::Tls {
            let server = shared.tls.clone()?;
            match server.accept(stream, &shared.clock).await {
                Ok((secured, found)) => {
                    stream = secured;
                    facts = Some(found);
                }
                Err(error) => {
                    tracing::debug!(%peer, %error, "no TLS");
                    return None;
                }
            }
        }
        let ip = match &peer {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix { .. } | Peer::Memory => None,
        };
        // The socket's mode says the same; this holds when somebody has changed it.
        if entry == Entry::Local && !peer.is_ours() {
            tracing::warn!(%peer, "another user at the local IMAP socket");
            return None;
        }
        let config = shared.config.current();
        let cleartext = config.auth_without_tls.allows(ip)
            || matches!(peer, Peer::Memory)
            || entry == Entry::Local;
        let options = Options {
            hostname: config.hostname().to_string(),
            mechanisms: match entry {
                Entry::Local => vec![LOCAL_MECHANISM.to_owned()],
                _ => mechanisms(&door(&config, ip, facts.as_ref())),
            },
            tls: match (facts, &shared.tls) {
                (Some(facts), _) => Tls::Active(facts),
                (None, Some(_)) if entry != Entry::Local => Tls::Offered,
                (None, _) => Tls::Absent,
            },
            cleartext_login: match cleartext {
                true => CleartextLogin::Allowed,
                false => CleartextLogin::Refused,
            },
            extensions: extensions(config.limits.message_size),
            message_size: config.limits.message_size,
            autologout: config.limits.imap_idle,
        };
        let machine = Server::new(shared.clock.tick(), options);
        let driver = Driver::new(machine, stream, &shared.clock, &shared.stop);
        Some(Session {
            shared,
            driver,
            peer: ip,
            entry,
            user: None,
            selected: None,
            enabled: Enabled::default(),
            compressed: false,
            login_failures: 0,
            scanned: super::content::Scanned::default(),
        })
    }

    /// Serves until either side ends it.
    pub(super) async fn run(mut self) {
        let drain = self.shared.drain.clone();
        loop {
            let event = tokio::select! {
                biased;
                () = drain.cancelled() => {
                    self.machine().bye("the server is stopping; come back in a moment");
                    self.driver.drain(limits::LAST_WORDS).await;
                    // Nothing more is read; what is left to say is sent.
                    while self.driver.next().await.is_some() {}
                    return;
                }
                event = self.driver.next() => event,
            };
            match event {
                Some(Event::Command(_, command)) => self.execute(command).await,
                // These belong to a command; outside of one they are leftovers of its refusal.
                Some(_) => {}
                None => return,
            }
        }
    }

    pub(super) fn machine(&mut self) -> &mut Server {
        self.driver.machine()
    }

    /// The connection is gone; a long answer need not go on.
    pub(super) fn is_over(&mut self) -> bool {
        self.driver.ending().is_some() || protocol::machine::Machine::is_closed(self.machine())
    }

    /// Lets the client read what it has been sent, if that is much.
    pub(super) async fn pace(&mut self) {
        if self.machine().pending_output() > limits::OUTPUT {
            self.driver.drain(limits::OUTPUT / 2).await;
        }
    }

    async fn execute(&mut self, command: Command) {
        let name = command.name();
        let expunges = expunges_after(&command);
        let tells_state = matches!(command, Command::Expunge | Command::UidExpunge(_));
        // Boxed, all but IDLE: a session that waits has no room for the commands it is not
        // executing.
        let outcome = match command {
            Command::Login { user, password } => {
                return Box::pin(self.login(user, password)).await;
            }
            Command::Authenticate { mechanism, initial } => {
                return Box::pin(self.authenticate(mechanism, initial)).await;
            }
            Command::StartTls => return Box::pin(self.start_tls()).await,
            Command::Compress => return Box::pin(self.compress()).await,
            Command::Append(append) => Box::pin(self.append(append)).await,
            Command::Store(store) => return Box::pin(self.store(store)).await,
            Command::Idle => self.idle().await,
            other => Box::pin(self.dispatch(other)).await,
        };
        if let Err(gone) = self.synchronize(expunges).await {
            self.finish(name, Err(gone));
            return;
        }
        let outcome = outcome.map(|text| match tells_state {
            true => self.with_mod_seq(text),
            false => text,
        });
        self.finish(name, outcome);
    }

    async fn dispatch(&mut self, command: Command) -> Outcome {
        match command {
            Command::Select(selection) => self.select(&selection).await,
            Command::Examine(selection) => self.examine(&selection).await,
            Command::Create { mailbox, uses } => self.create(&mailbox, &uses).await,
            Command::Delete(name) => self.delete(&name).await,
            Command::Rename { from, to } => self.rename(&from, &to).await,
            Command::Subscribe(name) => self.subscribe(&name).await,
            Command::Unsubscribe(name) => self.unsubscribe(&name).await,
            Command::List(list) => self.list(&list).await,
            Command::Lsub { reference, pattern } => self.lsub(&reference, &pattern).await,
            Command::Namespace => Ok(self.namespace()),
            Command::Status { mailbox, items } => self.status(&mailbox, &items).await,
            Command::Id(_) => Ok(self.id()),
            Command::Enable(names) => Ok(self.enable(&names)),
            // RFC 3501 §6.4.1: CHECK has nothing to do where everything is durable already.
            Command::Noop | Command::Check => self.look().await,
            Command::Close => self.close().await,
            Command::Unselect => Ok(self.unselect()),
            Command::Expunge => self.expunge(None).await,
            Command::UidExpunge(set) => self.expunge(Some(&set)).await,
            Command::Search(search) => self.search(search).await,
            Command::Fetch { numbering, set, items, modifiers } => {
                self.fetch((numbering, &set), items.expand(), modifiers).await
            }
            Command::Sort { criteria, search } => self.sort(&criteria, search).await,
            Command::Thread { algorithm, search } => self.thread(algorithm, search).await,
            Command::GetQuota(root) => self.get_quota(&root).await,
            Command::GetQuotaRoot(name) => self.get_quota_root(&name).await,
            Command::GetMetadata(get) => self.get_metadata(&get).await,
            Command::SetMetadata(set) => self.set_metadata(set).await,
            Command::Copy(transfer) => self.copy(&transfer).await,
            Command::Move(transfer) => self.move_letters(&transfer).await,
            // Answered by the machine or above.
            Command::Capability
            | Command::Logout
            | Command::StartTls
            | Command::Authenticate { .. }
            | Command::Login { .. }
            | Command::Append(_)
            | Command::Store(_)
            | Command::Compress
            | Command::Idle => Err(Failure::bad("not possible now")),
        }
    }

    /// Sends the tagged answer.
    pub(super) fn finish(&mut self, name: &str, outcome: Outcome) {
        let (condition, mut text) = match outcome {
            Ok(text) => (Condition::Ok, text),
            Err(Failure::No(text)) => (Condition::No, text),
            Err(Failure::Bad(text)) => (Condition::Bad, text),
        };
        if text.text.is_empty() {
            text.text = format!("{name} done");
        }
        self.machine().finish(condition, &text);
    }

    /// Tells the client what changed in the selected mailbox.
    ///
    /// # Errors
    /// The mailbox is gone; the session has said goodbye.
    pub(super) async fn synchronize(&mut self, expunges: Expunges) -> Result<(), Failure> {
        let Some(selected) = &mut self.selected else { return Ok(()) };
        if selected.mailbox.is_gone() {
            self.selected = None;
            self.machine().bye("the selected mailbox was deleted by another session");
            return Err(Failure::bad("the selected mailbox is gone"));
        }
        if !selected.is_behind() {
            return Ok(());
        }
        let mut later = selected.mailbox.view();
        let mut recent_from = None;
        if selected.has_unclaimed(&later) {
            // The first session that tells of a letter has it as recent (RFC 3501 §2.3.2).
            match self.shared.mailboxes.claim_recent(&selected.mailbox).await {
                Ok(first) => {
                    recent_from = Some(first);
                    later = selected.mailbox.view();
                }
                Err(error) => tracing::debug!(%error, "recent letters were not claimed"),
            }
        }
        let telling = Telling { expunges, enabled: self.enabled, recent_from };
        selected.tell(self.driver.machine(), later, telling);
        Ok(())
    }

    /// NOOP and CHECK: also looks for changes by other programs.
    async fn look(&mut self) -> Outcome {
        if let Some(selected) = &self.selected {
            self.shared.look(&selected.mailbox).await;
        }
        Ok(StatusText::default())
    }

    fn id(&mut self) -> StatusText {
        // RFC 2971 §3.3: no version, which would help an attacker more than a user.
        let fields = vec![("name".to_owned(), Some("Posthaste".into()))];
        self.machine().untagged(&Untagged::Id(Some(fields)));
        StatusText::default()
    }

    /// The user; the machine lets no other command through before the login.
    pub(super) fn user(&self) -> Result<&User, Failure> {
        self.user.as_ref().ok_or_else(|| Failure::bad("log in first"))
    }

    /// The selected mailbox; the machine lets no command through that needs one without.
    pub(super) fn selected(&mut self) -> Result<&mut Selected, Failure> {
        self.selected.as_mut().ok_or_else(|| Failure::bad("select a mailbox first"))
    }

    /// The user's mailboxes now.
    pub(super) async fn account(&mut self) -> Result<Arc<AccountView>, Failure> {
        Ok(self.shared.mailboxes.account(&self.user()?.account).await?)
    }

    /// What the user's mailboxes may hold, as the directory says now.
    pub(super) fn quota(&self) -> Quota {
        let Some(user) = &self.user else { return Quota::default() };
        let snapshot = self.shared.directory.current(self.shared.clock.tick());
        let quota = snapshot.login(&user.address).map(|account| account.quota);
        quota.map_or_else(Quota::default, |quota| Quota {
            bytes: quota.bytes,
            letters: quota.letters,
        })
    }
}

/// RFC 3501 §7.4.1: no EXPUNGE while FETCH, STORE or SEARCH by sequence number runs. RFC 9051
/// §7.5.1 allows it for their UID forms, but the untagged answers of those carry numbers too.
fn expunges_after(command: &Command) -> Expunges {
    match command {
        Command::Fetch { .. }
        | Command::Store(_)
        | Command::Search(_)
        | Command::Sort { .. }
        | Command::Thread { .. } => Expunges::Held,
        _ => Expunges::Told,
    }
}

/// Where somebody wants to log in.
pub(super) fn door(config: &Config, peer: Option<IpAddr>, facts: Option<&TlsFacts>) -> Door {
    let door = Door::new("imap", peer).taking(&config.oauth);
    match facts {
        Some(facts) => door.under_tls(facts),
        None => door,
    }
}

/// RFC 4422 appendix A: who asks is known from outside SASL, here from the kernel.
pub(super) const LOCAL_MECHANISM: &str = "EXTERNAL";

/// The mechanisms to offer there.
pub(super) fn mechanisms(door: &Door) -> Vec<String> {
    door.mechanisms().map(|mechanism| mechanism.name().to_owned()).collect()
}
