//! `posthaste mailbox import` and `export`: letters moved in from elsewhere and out again. The work
//! is in `mua::migrate`, which speaks IMAP to the MDA's own socket; here are the words, the
//! progress
//! and the exit codes.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use mua::account::{Account, PasswordSource, Security, Server, ServerKind};
use mua::migrate::export::{self, Exported, Form};
use mua::migrate::import::{self, Import, Mode, Progress};
use mua::migrate::{self, Source};
use mua::{Desk, Failure};
use service::{Exit, Fatal};

use super::Which;
use crate::mail::fatal;
use crate::{ask, output};

/// Brings letters in.
#[derive(Args, Debug)]
#[command(
    after_help = "A path may be a Maildir (Maildir++ or nested), a folder of Maildirs, an mbox \
                        file or a folder of them. Letters that are there already are passed over: \
                        run it again to go on, or to fetch what has come since.\n\nExit 0 when all \
                        letters are there, 1 when some could not be taken, 75 when a connection \
                        broke.\n\nExamples:\n  posthaste mailbox import alice@example.org \
                        /home/alice/Maildir\n  posthaste mailbox import alice@example.org \
                        imaps://old.example.net --user alice --password-file secret"
)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    which: Which,
    /// A path, imaps://HOST[:PORT], or imap://HOST (STARTTLS)
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Login name on the other server
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// File with the password of the other server, readable by you alone
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// An authority to believe when the other server's certificate is from one of your own
    #[arg(long, value_name = "PEM")]
    extra_ca: Option<PathBuf>,
    /// Put everything below this mailbox
    #[arg(long, value_name = "MAILBOX")]
    into: Option<String>,
    /// Put a folder of the source elsewhere (repeatable)
    #[arg(long = "rename", value_name = "FROM=TO")]
    renames: Vec<Rename>,
    /// Only say what would be brought
    #[arg(long)]
    dry_run: bool,
}

/// Takes letters out.
#[derive(Args, Debug)]
#[command(after_help = "maildir: one Maildir++ with UIDs, keywords and subscriptions as Dovecot \
                        keeps them; mbox: a file for each mailbox. The folder must be new or \
                        empty.\n\nExample:\n  posthaste mailbox export alice@example.org \
                        /srv/alice --format maildir")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// The folder to write
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Maildir)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Maildir,
    Mbox,
}

/// `Old Name=New Name`.
#[derive(Clone, Debug)]
struct Rename(String, String);

impl std::str::FromStr for Rename {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once('=').ok_or("write FROM=TO")?;
        if from.is_empty() || to.is_empty() {
            return Err("write FROM=TO".to_owned());
        }
        Ok(Rename(from.to_owned(), to.to_owned()))
    }
}

/// The command `import`.
pub(super) fn import(args: &ImportArgs) -> Result<Exit, Fatal> {
    let (paths, account) = args.which.account()?;
    let target = local_desk(&paths, &account)?;
    let source = args.source().map_err(fatal)?;
    let journals = paths.state().join("import").join(&account);
    let renames: Vec<(String, String)> =
        args.renames.iter().map(|rename| (rename.0.clone(), rename.1.clone())).collect();
    let import = Import {
        source: &source,
        target: &target,
        journals: &journals,
        renames: &renames,
        into: args.into.as_deref(),
        mode: if args.dry_run { Mode::Rehearse } else { Mode::Carry },
    };
    let mut bar = Bar::new(args.which.json);
    let mut tell = |progress: &Progress| {
        bar.show(&progress.folder, progress.done_in_folder, progress.in_folder);
    };
    let outcome = ask::runtime()?.block_on(import::run(&import, &mut tell));
    bar.end();
    let done = outcome.map_err(|failure| {
        let hint = match failure.kind {
            mua::Kind::TryAgain => "; what was carried stays, run it again to go on",
            _ => "",
        };
        let mut ended = fatal(failure);
        ended.message.push_str(hint);
        ended
    })?;
    if args.which.json {
        output::json(&done);
    } else {
        for failure in &done.failures {
            output::complain(&output::safe(failure));
        }
        let verb = if args.dry_run { "to bring" } else { "brought" };
        output::line(&format!(
            "{} letters {verb} ({} bytes), {} were there already, {} could not be taken; \
             {} folders",
            done.copied, done.bytes, done.present, done.failed, done.folders
        ));
    }
    Ok(if done.failed == 0 { Exit::Done } else { Exit::No })
}

impl ImportArgs {
    fn source(&self) -> Result<Source, Failure> {
        let is_server = ["imap://", "imaps://"].iter().any(|s| self.source.starts_with(s));
        if !is_server {
            return migrate::recognise(PathBuf::from(&self.source));
        }
        // imaps://user@host is how people write it.
        let (scheme, rest) = self.source.split_once("://").unwrap_or(("imaps", &self.source));
        let (in_source, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, rest),
        };
        let imap = Server::parse(&format!("{scheme}://{host}"), ServerKind::Imap)
            .map_err(Failure::usage)?;
        let user =
            self.user.clone().or(in_source).ok_or_else(|| {
                Failure::usage("who are you on the other server? Say --user NAME")
            })?;
        let password = match &self.password_file {
            Some(path) => PasswordSource::File(path.clone()),
            None => PasswordSource::Prompt,
        };
        let nobody = "nobody@localhost".parse();
        let address = nobody.map_err(|_| Failure::usage("no address"))?;
        Ok(Source::Server(Box::new(Desk::new(Account {
            name: "source".to_owned(),
            address,
            person: None,
            aliases: Vec::new(),
            submission: imap.clone(),
            imap,
            user,
            password,
            extra_ca: self.extra_ca.clone(),
            sent: None,
        }))))
    }
}

/// The command `export`.
pub(super) fn export(args: &ExportArgs) -> Result<Exit, Fatal> {
    let (paths, account) = args.which.account()?;
    let desk = local_desk(&paths, &account)?;
    let form = match args.format {
        Format::Maildir => Form::Maildir,
        Format::Mbox => Form::Mbox,
    };
    let mut bar = Bar::new(args.which.json);
    let mut tell = |done: &Exported| bar.show(&done.folder, done.done_in_folder, done.in_folder);
    let outcome = ask::runtime()?.block_on(export::run(&desk, form, &args.to, &mut tell));
    bar.end();
    let done = outcome.map_err(fatal)?;
    if args.which.json {
        output::json(&done);
    } else {
        let (letters, bytes, folders) = (done.letters, done.bytes, done.folders);
        let to = args.to.display();
        output::line(&format!("{letters} letters ({bytes} bytes) of {folders} mailboxes in {to}"));
    }
    Ok(Exit::Done)
}

/// The account through the MDA's own socket: no password, the kernel says who asks.
fn local_desk(paths: &service::Paths, account: &str) -> Result<Desk, Fatal> {
    let server = Server {
        kind: ServerKind::Imap,
        security: Security::Socket,
        host: paths.imap_socket().display().to_string(),
        port: 0,
    };
    let address = account.parse().map_err(|_| Fatal::no(format!("{account} is no address")))?;
    Ok(Desk::new(Account {
        name: account.to_owned(),
        address,
        person: None,
        aliases: Vec::new(),
        imap: server.clone(),
        submission: server,
        user: account.to_owned(),
        password: PasswordSource::Prompt,
        extra_ca: None,
        sent: None,
    }))
}

/// A line of progress on a terminal, written over itself.
struct Bar {
    shown: Option<Instant>,
    wanted: bool,
}

impl Bar {
    fn new(json: bool) -> Self {
        Bar { shown: None, wanted: !json && std::io::stderr().is_terminal() }
    }

    fn show(&mut self, folder: &str, done: u64, of: u64) {
        let due = self.shown.is_none_or(|last| last.elapsed() >= REDRAW) || done == of;
        if !self.wanted || !due {
            return;
        }
        self.shown = Some(Instant::now());
        let part = |width: u64| width * done.min(of) / of.max(1);
        let full = usize::try_from(part(WIDTH)).unwrap_or(0);
        let rest = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(full);
        let (full, rest) = ("#".repeat(full), "-".repeat(rest));
        let text = format!("\r\x1b[K[{full}{rest}] {done}/{of} {}", output::safe(folder));
        let mut out = std::io::stderr().lock();
        // Nobody looks: nobody to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn end(&self) {
        if self.shown.is_some() {
            output::complain("");
        }
    }
}

/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// Characters of the bar.
const WIDTH: u64 = 30;
