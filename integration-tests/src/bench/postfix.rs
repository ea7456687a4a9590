//! Postfix as a peer: Debian's package, a configuration and a queue of its own in the folder of the
//! run, its defaults for whatever touches speed and safety. Needs root, as its `master` does.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Way;
use super::server::{BOXES, DOMAIN, Server};
use crate::address::Address;
use crate::{process, wait};

const MASTER: &str = "/usr/lib/postfix/sbin/master";
const PORT: u16 = 10_025;
/// Who owns the mailboxes: an account that every Debian has (nobody, nogroup).
const OWNER: u32 = 65_534;

/// A running Postfix; dropped, it ends.
struct Postfix {
    master: Child,
    _folder: tempfile::TempDir,
    _address: Address,
}

impl Drop for Postfix {
    fn drop(&mut self) {
        process::terminate(self.master.id());
        if wait::try_within(wait::PATIENCE, || self.master.try_wait().ok().flatten()).is_none() {
            process::kill_group(self.master.id());
        }
    }
}

/// Whether it can be run here.
pub fn is_here() -> bool {
    Path::new(MASTER).is_file() && rustix::process::geteuid().is_root()
}

/// Starts one for a way; `sink` is where everything else goes.
pub fn start(way: Way, sink: std::net::SocketAddr) -> std::io::Result<Server> {
    let folder = tempfile::Builder::new().prefix("pb-postfix-").tempdir()?;
    let root = folder.path().to_owned();
    // Its processes run under several accounts and all have to pass here.
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755))?;
    let mailer = number_of("/etc/passwd", "postfix").ok_or_else(|| missing("account postfix"))?;
    let drop = number_of("/etc/group", "postdrop").ok_or_else(|| missing("group postdrop"))?;
    let queue = root.join("queue");
    for name in QUEUES {
        let path = folder_of(&queue.join(name), 0o700)?;
        chown(&path, Some(mailer), None)?;
    }
    for (name, mode, group) in [("public", 0o710, drop), ("maildrop", 0o730, drop)] {
        let path = folder_of(&queue.join(name), mode)?;
        chown(&path, Some(mailer), Some(group))?;
    }
    folder_of(&queue.join("pid"), 0o755)?;
    chown(folder_of(&root.join("data"), 0o700)?, Some(mailer), None)?;
    let mail = folder_of(&root.join("mail"), 0o755)?;
    let address = Address::take();
    let conf = folder_of(&root.join("conf"), 0o755)?;
    let mut boxes = String::new();
    let mut maildirs = Vec::new();
    for number in 0..BOXES {
        boxes.push_str(&format!("box{number}@{DOMAIN} box{number}/\n"));
        let maildir = folder_of(&mail.join(format!("box{number}")), 0o700)?;
        chown(&maildir, Some(OWNER), Some(OWNER))?;
        maildirs.push(maildir);
    }
    std::fs::write(conf.join("boxes"), boxes)?;
    std::fs::write(conf.join("main.cf"), main_cf(&root, way, sink))?;
    std::fs::write(conf.join("master.cf"), master_cf(&address))?;
    let master = Command::new(MASTER)
        .args(["-d", "-c"])
        .arg(&conf)
        .env("MAIL_CONFIG", &conf)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let smtp = (address.ip(), PORT).into();
    let id = master.id();
    let life = Postfix { master, _folder: folder, _address: address };
    let server = Server {
        name: "Postfix",
        smtp,
        root: id,
        maildirs,
        recipients: (0..BOXES).map(|number| format!("box{number}@{DOMAIN}")).collect(),
        _life: Box::new(life),
    };
    server.await_greeting();
    Ok(server)
}

const QUEUES: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace",
];

fn main_cf(root: &Path, way: Way, sink: std::net::SocketAddr) -> String {
    let at = root.display();
    let domains = if way == Way::Inbound { DOMAIN } else { "" };
    let next = match way {
        Way::Inbound => String::new(),
        Way::Relay => format!("[{}]:{}", sink.ip(), sink.port()),
    };
    // compatibility_level: the defaults of this release, not those of older ones.
    format!(
        "compatibility_level = 3.6\nqueue_directory = {at}/queue\ndata_directory = {at}/data\n\
         maillog_file = {at}/log\nmaillog_file_prefixes = {at}\nmyhostname = mx.{DOMAIN}\n\
         mydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
         virtual_mailbox_domains = {domains}\nvirtual_mailbox_base = {at}/mail\n\
         virtual_mailbox_maps = texthash:{at}/conf/boxes\nvirtual_uid_maps = static:{OWNER}\n\
         virtual_gid_maps = static:{OWNER}\nrelayhost = {next}\nsmtp_tls_security_level =\n"
    )
}

/// The services that Debian's file has and that this needs, none in a chroot.
fn master_cf(address: &Address) -> String {
    let mut text = format!("{}:{PORT} inet n - n - - smtpd\n", address.ip());
    let rows = [
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "flush unix n - n 1000? 0 flush",
        "proxymap unix - - n - - proxymap",
        "smtp unix - - n - - smtp",
        "relay unix - - n - - smtp",
        "showq unix n - n - - showq",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "discard unix - - n - - discard",
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "scache unix - - n - 1 scache",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    text
}

fn folder_of(path: &Path, mode: u32) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
    Ok(path.to_owned())
}

/// The number of an account or a group.
fn number_of(file: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

fn missing(what: &str) -> std::io::Error {
    std::io::Error::other(format!("{what} is missing: apt-get install postfix"))
}
