//! Postfix on either side of our MTA: it sends to us with STARTTLS, and takes what a route sends
//! to it. It runs as a private instance with its own queue, and only for root.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration_tests::{Address, Authority, Instance, Service, clients, process, wait};
use tempfile::TempDir;

use crate::cluster::{await_letters, domain, letter, submit};

/// A Postfix with a folder and an address of its own.
pub(crate) struct Postfix {
    folder: TempDir,
    address: Address,
    master: Child,
    ids: (u32, u32),
}

/// Its port for SMTP.
pub(crate) const PORT: u16 = 10_025;

fn id(file: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:")))?;
    line.split(':').nth(2)?.parse().ok()
}

impl Postfix {
    /// Starts one that delivers `inbox.test` to Maildirs and sends everything else to `hop`.
    fn start(hop: Option<&Instance>) -> Option<Postfix> {
        Self::with(hop, "")
    }

    /// The same with further lines in main.cf; ROOT in them is its folder.
    pub(crate) fn with(hop: Option<&Instance>, lines: &str) -> Option<Postfix> {
        let postconf = clients::find("postconf")?;
        if !rustix::process::geteuid().is_root() {
            clients::note_skipped("postfix (needs root)");
            return None;
        }
        let ids = (id("/etc/passwd", "postfix")?, id("/etc/group", "postdrop")?);
        let daemons = String::from_utf8(
            Command::new(postconf).args(["-d", "-h", "daemon_directory"]).output().ok()?.stdout,
        );
        let daemons = PathBuf::from(daemons.ok()?.trim());
        let folder = tempfile::Builder::new().prefix("pf-").tempdir().expect("a folder");
        let address = Address::take();
        lay_out(folder.path(), ids);
        let relay =
            hop.map_or_else(String::new, |hop| format!("[{}]:{}", hop.ip(), Service::Smtp.port()));
        let lines = lines.replace("ROOT", &folder.path().display().to_string());
        let main = main_cf(folder.path(), &address, &relay, &daemons) + &lines;
        let authority = Authority::new();
        let file = |name: &str| folder.path().join("conf").join(name);
        authority.issue("relay.inbox.test", &address, &file("cert.pem"), &file("key.pem"));
        std::fs::write(file("ca.pem"), authority.pem()).expect("the folder is writable");
        std::fs::write(folder.path().join("conf/main.cf"), main).expect("the folder is writable");
        let master = MASTER_CF.replace("LISTEN", &format!("{}:{PORT}", address.ip()));
        std::fs::write(folder.path().join("conf/master.cf"), master).expect("writable");
        let log = std::fs::File::create(folder.path().join("out")).expect("writable");
        let master = Command::new(daemons.join("master"))
            .arg("-c")
            .arg(folder.path().join("conf"))
            .arg("-d")
            .env("MAIL_CONFIG", folder.path().join("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("postfix's master starts");
        let postfix = Postfix { folder, address, master, ids };
        // A refused first attempt would be repeated after a quarter of an hour.
        let at = std::net::SocketAddr::new(postfix.address.ip(), PORT);
        drop(integration_tests::Conversation::open(at));
        Some(postfix)
    }

    /// Where it listens.
    pub(crate) fn ip(&self) -> std::net::IpAddr {
        self.address.ip()
    }

    /// The authority of the certificate that it may show.
    pub(crate) fn roots(&self) -> PathBuf {
        self.folder.path().join("conf/ca.pem")
    }

    /// What it wrote into its log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("postfix.log")).unwrap_or_default()
    }

    /// Hands a letter to its port, as any client.
    pub(crate) fn send(&self, from: &str, to: &str, text: &str) {
        let at = std::net::SocketAddr::new(self.address.ip(), PORT);
        let mut talk = integration_tests::Conversation::open(at);
        talk.expect("220");
        talk.say("EHLO client.test", "250");
        talk.say(&format!("MAIL FROM:<{from}>"), "250");
        talk.say(&format!("RCPT TO:<{to}>"), "250");
        talk.say("DATA", "354");
        talk.raw(crate::cluster::stuffed(text).as_bytes());
        talk.expect("250");
        talk.say("QUIT", "221");
    }

    /// The letters in the Maildir of a user of `inbox.test`.
    pub(crate) fn maildir(&self, user: &str) -> Vec<String> {
        let new = self.folder.path().join("mail").join(user).join("new");
        let entries = std::fs::read_dir(new).into_iter().flatten().flatten();
        entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).collect()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let out = std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            eprintln!("--- postfix (uid {}):\n{out}{}", self.ids.0, self.log());
        }
        let below = process::children(self.master.id());
        process::terminate(self.master.id());
        let _ = wait::try_within(std::time::Duration::from_secs(5), || {
            self.master.try_wait().ok().flatten()
        });
        let _ = self.master.kill();
        let _ = self.master.wait();
        below.into_iter().for_each(|(id, _)| process::kill(id));
    }
}

fn lay_out(root: &Path, (user, group): (u32, u32)) {
    let make = |name: &str, mode: u32, owner: Option<(u32, Option<u32>)>| {
        let path = root.join(name);
        std::fs::create_dir_all(&path).expect("the folder is writable");
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
        if let Some((user, group)) = owner {
            chown(&path, Some(user), group).expect("root may");
        }
    };
    std::fs::set_permissions(root, Permissions::from_mode(0o755)).expect("ours");
    for name in ["conf", "queue", "queue/pid"] {
        make(name, 0o755, None);
    }
    make("lib", 0o700, Some((user, None)));
    make("mail", 0o755, Some((user, None)));
    let folders = "active bounce corrupt defer deferred flush hold incoming private saved trace";
    for name in folders.split(' ') {
        make(&format!("queue/{name}"), 0o700, Some((user, None)));
    }
    make("queue/public", 0o710, Some((user, Some(group))));
    make("queue/maildrop", 0o730, Some((user, Some(group))));
}

fn main_cf(root: &Path, address: &Address, relay: &str, daemons: &Path) -> String {
    let user = id("/etc/passwd", "postfix").expect("it was there a moment ago");
    let root = root.display();
    std::fs::write(format!("{root}/conf/boxes"), "carol@inbox.test carol/\n").expect("writable");
    format!(
        "compatibility_level = 3.6\nqueue_directory = {root}/queue\ndata_directory = {root}/lib\n\
         daemon_directory = {daemons}\nmail_owner = postfix\nsetgid_group = postdrop\n\
         import_environment = MAIL_CONFIG LANG=C\nmaillog_file = {root}/postfix.log\n\
         maillog_file_prefixes = {root}\nmyhostname = postfix.test\nmydestination =\n\
         alias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nbiff = no\n\
         smtp_bind_address = {ip}\nsmtp_tls_security_level = encrypt\nrelayhost = {relay}\n\
         virtual_mailbox_domains = inbox.test\nvirtual_mailbox_base = {root}/mail\n\
         virtual_mailbox_maps = texthash:{root}/conf/boxes\nvirtual_minimum_uid = 1\n\
         virtual_uid_maps = static:{user}\nvirtual_gid_maps = static:{user}\n",
        daemons = daemons.display(),
        ip = address.ip(),
    )
}

const MASTER_CF: &str = "\
LISTEN inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

#[test]
fn postfix_sends_to_us() {
    let here = crate::cluster::single();
    let Some(postfix) = Postfix::start(Some(&here)) else { return };
    let sent = letter("friend@elsewhere.test", "bob@example.test", "from-postfix");
    for _ in 0..3 {
        postfix.send("friend@elsewhere.test", "bob@example.test", &sent);
    }
    let found = await_letters(&here, "bob@example.test", 3);
    for stored in &found {
        let text = String::from_utf8_lossy(stored);
        assert!(text.contains("by postfix.test (Postfix)"), "{text}");
        assert!(text.contains("with ESMTPS"), "{text}");
        assert!(text.ends_with("A line, and\r\n..one with dots.\r\n"), "{text}");
    }
    // We refuse this one: its bounce, with the null reverse-path, reaches us too.
    postfix.send("bob@example.test", "nobody@example.test", &sent);
    let found = await_letters(&here, "bob@example.test", 4);
    assert!(String::from_utf8_lossy(&found[3]).starts_with("Return-Path: <>"));
    here.assert_balanced();
}

#[test]
fn postfix_sends_to_us_without_tls() {
    let here = crate::cluster::single();
    let Some(postfix) = Postfix::with(Some(&here), "smtp_tls_security_level = none\n") else {
        return;
    };
    let sent = letter("friend@elsewhere.test", "bob@example.test", "in-the-clear");
    postfix.send("friend@elsewhere.test", "bob@example.test", &sent);
    let found = await_letters(&here, "bob@example.test", 1).remove(0);
    let text = String::from_utf8_lossy(&found).into_owned();
    assert!(text.contains("with ESMTP ") && !text.contains("by mx.example.test with ESMTPS"));
    assert!(text.contains("in-the-clear"), "{text}");
    here.assert_balanced();
}

#[test]
fn postfix_is_our_next_hop_under_tls() {
    let lines = "smtpd_tls_cert_file = ROOT/conf/cert.pem\n\
                 smtpd_tls_key_file = ROOT/conf/key.pem\nsmtpd_tls_security_level = encrypt\n\
                 smtpd_tls_received_header = yes\n";
    let Some(postfix) = Postfix::with(None, lines) else { return };
    let route = format!("{{\"*\" = \"smtp:{}:{PORT}\"}}", postfix.address.ip());
    let here = domain("example.test").set("mta.routes", route).start();
    let sent = letter("alice@example.test", "carol@inbox.test", "under-tls");
    submit(&here, "alice@example.test", &["carol@inbox.test"], &sent);
    let found = wait::until("the letter at Postfix", || postfix.maildir("carol").pop());
    assert!(found.contains("with ESMTPS") && found.contains("(using TLSv1.3"), "{found}");
    here.assert_balanced();
}

#[test]
fn postfix_is_our_next_hop() {
    let Some(postfix) = Postfix::start(None) else { return };
    let route = format!("{{\"*\" = \"smtp:{}:{PORT}\"}}", postfix.address.ip());
    let here = domain("example.test").set("mta.routes", route).start();
    let sent = letter("alice@example.test", "carol@inbox.test", "to-postfix");
    for _ in 0..3 {
        submit(&here, "alice@example.test", &["carol@inbox.test"], &sent);
    }
    let found = wait::until("three letters at Postfix", || {
        let found = postfix.maildir("carol");
        (found.len() >= 3).then_some(found)
    });
    for text in found {
        assert!(
            text.ends_with(
                &letter("", "", "")
                    .rsplit("\r\n\r\n")
                    .next()
                    .map_or_else(String::new, |body| body.replace("\r\n", "\n"))
            ),
            "{text}"
        );
    }
    wait::until("our queue is empty", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}
