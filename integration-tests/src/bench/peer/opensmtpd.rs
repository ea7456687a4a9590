//! OpenSMTPD as a peer: Debian's package, its `maildir` action. Its spool, chroot and helpers lie
//! at places that are compiled in, so only one can run at a time. Raised: letters of one session.
//! It asks DNS about every client: a name server of ours answers, seen by it alone.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::super::Way;
use super::super::place::Place;
use super::super::server::{BOXES, DOMAIN, Life, Server};
use super::resolver::Resolver;
use super::{OWNER, Running, StartTls, Use, dovecot, folder_of, maildirs, packages};
use crate::address::Address;

const SMTP: u16 = 10_025;
const HELPERS: &str = "/usr/libexec/opensmtpd";
const SPOOL: &str = "/var/spool/smtpd";
const LIBRARIES: [&str; 5] = ["libevent-2.1-7", "libpam0g", "libssl3", "libdb5.3", "ed"];

struct OpenSmtpd {
    running: Option<Running>,
    _resolver: Resolver,
    _place: Place,
    _address: Address,
}

impl Life for OpenSmtpd {}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        self.running = None;
        // What this run left there is nobody's.
        let _ = std::fs::remove_dir_all(SPOOL);
        let _ = std::fs::remove_file(HELPERS);
    }
}

/// Starts one for a way; `sink` is where everything else goes. It knows nothing of TLS.
///
/// # Errors
///
/// It cannot be installed, configured or started; or one is installed here for real.
pub fn start(way: Way, sink: SocketAddr) -> io::Result<Server> {
    start_with(way, sink, StartTls { offered: Use::No, asked: Use::No })
}

/// The same, with or without STARTTLS.
///
/// # Errors
///
/// It cannot be installed, configured or started; or one is installed here for real.
pub fn start_with(way: Way, sink: SocketAddr, tls: StartTls) -> io::Result<Server> {
    if packages::version("opensmtpd").is_some() || Path::new(SPOOL).exists() {
        return Err(io::Error::other(format!("{SPOOL} is in use: this machine has one already")));
    }
    let (programs, version) = packages::unpacked(&["opensmtpd"])?;
    packages::installed(&LIBRARIES)?;
    packages::account("opensmtpd")?;
    packages::account("opensmtpq")?;
    std::fs::create_dir_all("/usr/libexec")?;
    let _ = std::fs::remove_file(HELPERS);
    std::os::unix::fs::symlink(programs.join("usr/libexec/opensmtpd"), HELPERS)?;
    folder_of(Path::new("/var/lib/opensmtpd/empty"), 0o755)?;
    folder_of(Path::new(SPOOL), 0o711)?;
    let place = Place::temporary("opensmtpd")?;
    let root = place.path().to_owned();
    let maildirs = maildirs(&folder_of(&root.join("mail"), 0o755)?)?;
    let address = Address::take();
    let users =
        (0..BOXES).map(|n| format!("box{n} {OWNER}:{OWNER}:{}/mail/box{n}\n", root.display()));
    std::fs::write(root.join("users"), users.collect::<String>())?;
    let conf = root.join("smtpd.conf");
    dovecot::certificate(&root)?;
    let key = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(root.join("key.pem"), key)?;
    std::fs::write(&conf, configuration(&root, (way, sink, &address), tls))?;
    std::fs::set_permissions(&conf, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let resolver = Resolver::start(&root)?;
    let mut command = resolver.seen_by(&programs.join("usr/sbin/smtpd"));
    command.arg("-F").arg("-f").arg(&conf);
    let running = Running::start(&mut command, &root.join("out.log"))?;
    let server = Server {
        name: "OpenSMTPD",
        version: format!("OpenSMTPD {version}"),
        smtp: Some((address.ip(), SMTP).into()),
        submission: None,
        imap: None,
        imaps: None,
        roots: vec![running.id()],
        maildirs,
        recipients: (0..BOXES).map(|number| format!("box{number}@{DOMAIN}")).collect(),
        letter: None,
        life: Box::new(OpenSmtpd {
            running: Some(running),
            _resolver: resolver,
            _place: place,
            _address: address,
        }),
    };
    server.await_greeting();
    Ok(server)
}

fn configuration(
    root: &Path,
    (way, sink, address): (Way, SocketAddr, &Address),
    tls: StartTls,
) -> String {
    let pki = format!("tls pki mx.{DOMAIN}");
    let offered = if tls.offered == Use::Yes { pki.as_str() } else { "" };
    let scheme = if tls.asked == Use::Yes { "smtp" } else { "smtp+notls" };
    let (at, ip) = (root.display(), address.ip());
    let local = match way {
        Way::Relay => String::new(),
        _ => format!("match from any for domain \"{DOMAIN}\" action \"local\"\n"),
    };
    format!(
        "pki mx.{DOMAIN} cert \"{at}/cert.pem\"\npki mx.{DOMAIN} key \"{at}/key.pem\"\n\
         table boxes file:{at}/users\nsmtp max-message-size 50M\nsmtp limit max-mails 10000000\n\
         listen on {ip} port {SMTP} {offered} hostname mx.{DOMAIN}\n\
         action \"local\" maildir \"{at}/mail/%{{user.username}}\" userbase <boxes>\n\
         action \"out\" relay host \"{scheme}://{}:{}\"\n\
         {local}match from any for any action \"out\"\n",
        sink.ip(),
        sink.port(),
    )
}
