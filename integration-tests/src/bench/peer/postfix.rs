//! Postfix as a peer: Debian's package, a configuration and a queue of its own in the folder of the
//! run, its defaults for whatever touches speed and safety. Needs root, as its `master` does.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::super::Way;
use super::super::place::Place;
use super::super::server::{DOMAIN, Life, Server};
use super::dovecot::{self, Dovecot};
use super::{OWNER, Running, folder_of, maildirs, packages};
use crate::address::Address;

const MASTER: &str = "/usr/lib/postfix/sbin/master";
const SMTP: u16 = 10_025;
const SUBMISSION: u16 = 10_587;

/// A running Postfix; dropped, it ends.
struct Postfix {
    _master: Running,
    _dovecot: Option<Dovecot>,
    _place: Place,
    _address: Address,
}

impl Life for Postfix {}

/// Who puts letters into mailboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Its own `virtual`.
    Virtual,
    /// Dovecot, over LMTP.
    Dovecot,
}

/// Starts one for a way; `sink` is where everything else goes.
///
/// # Errors
///
/// It is not installed, or cannot be configured or started.
pub fn start(way: Way, sink: SocketAddr, delivery: Delivery) -> io::Result<Server> {
    if !Path::new(MASTER).is_file() {
        return Err(io::Error::other("apt-get install postfix"));
    }
    let place = Place::temporary("postfix")?;
    let root = place.path().to_owned();
    let (mailer, _) = packages::account("postfix")?;
    let postdrop = packages::group("postdrop")?;
    // It asks Dovecot who has the right password, as Debian's people do.
    let dovecot = (way == Way::Submission || delivery == Delivery::Dovecot)
        .then(|| dovecot::start(Place::temporary("dovecot")?))
        .transpose()?;
    let queue = root.join("queue");
    for name in QUEUES {
        chown(folder_of(&queue.join(name), 0o700)?, Some(mailer), None)?;
    }
    for (name, mode) in [("public", 0o710), ("maildrop", 0o730)] {
        chown(folder_of(&queue.join(name), mode)?, Some(mailer), Some(postdrop))?;
    }
    folder_of(&queue.join("pid"), 0o755)?;
    chown(folder_of(&root.join("data"), 0o700)?, Some(mailer), None)?;
    let mail = folder_of(&root.join("mail"), 0o755)?;
    let own = maildirs(&mail)?;
    let address = Address::take();
    let conf = folder_of(&root.join("conf"), 0o755)?;
    dovecot::certificate(&root)?;
    let names: Vec<String> = (0..own.len()).map(|number| format!("box{number}")).collect();
    let boxes = names.iter().map(|name| format!("{name}@{DOMAIN} {name}/\n"));
    std::fs::write(conf.join("boxes"), boxes.collect::<String>())?;
    let mut main = main_cf(&root, way, sink);
    if let Some(dovecot) = &dovecot {
        main.push_str(&format!(
            "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:{}\n\
             smtpd_tls_cert_file = {at}/cert.pem\nsmtpd_tls_key_file = {at}/key.pem\n",
            dovecot.sasl(),
            at = root.display(),
        ));
    }
    let mut maildirs = own;
    if let (Delivery::Dovecot, Some(dovecot)) = (delivery, &dovecot) {
        main.push_str(&format!("virtual_transport = lmtp:inet:{}\n", dovecot.lmtp()));
        maildirs = names.iter().map(|name| dovecot.mail().join(name)).collect();
    }
    std::fs::write(conf.join("main.cf"), main)?;
    std::fs::write(conf.join("master.cf"), master_cf(&address))?;
    let mut command = Command::new(MASTER);
    command.args(["-d", "-c"]).arg(&conf).env("MAIL_CONFIG", &conf);
    let master = Running::start(&mut command, &root.join("out.log"))?;
    let mut version = format!("Postfix {}", packages::version("postfix").unwrap_or_default());
    if delivery == Delivery::Dovecot {
        version = format!("{version} + {}", dovecot::version());
    }
    let roots = [master.id()].into_iter().chain(dovecot.as_ref().and_then(Dovecot::root));
    let server = Server {
        name: if delivery == Delivery::Dovecot { "Postfix+Dovecot" } else { "Postfix" },
        version,
        smtp: Some((address.ip(), SMTP).into()),
        submission: dovecot.is_some().then(|| (address.ip(), SUBMISSION).into()),
        imap: None,
        imaps: None,
        roots: roots.collect(),
        maildirs,
        recipients: names.iter().map(|name| format!("{name}@{DOMAIN}")).collect(),
        letter: None,
        life: Box::new(Postfix {
            _master: master,
            _dovecot: dovecot,
            _place: place,
            _address: address,
        }),
    };
    server.await_greeting();
    Ok(server)
}

const QUEUES: [&str; 11] = [
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
    "saved", "trace",
];

fn main_cf(root: &Path, way: Way, sink: SocketAddr) -> String {
    let at = root.display();
    let domains = if way == Way::Relay { "" } else { DOMAIN };
    let next = match way {
        Way::Inbound | Way::Submission => String::new(),
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
         virtual_gid_maps = static:{OWNER}\nrelayhost = {next}\nsmtp_tls_security_level =\n\
         smtpd_client_connection_count_limit = 2000\n\
         message_size_limit = 100000000\nvirtual_mailbox_limit = 0\n"
    )
}

/// The services that Debian's file has and that this needs, none in a chroot. Raised: sessions at
/// once, for the row that holds a thousand.
fn master_cf(address: &Address) -> String {
    let ip = address.ip();
    let mut text = format!(
        "{ip}:{SMTP} inet n - n - 1100 smtpd\n{ip}:{SUBMISSION} inet n - n - - smtpd\n\
         \x20 -o smtpd_tls_security_level=encrypt\n  -o smtpd_sasl_auth_enable=yes\n\
         \x20 -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
    );
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
        "lmtp unix - - n - - lmtp",
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
