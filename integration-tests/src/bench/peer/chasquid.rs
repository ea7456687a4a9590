//! chasquid as a peer: Debian's package, delivering through its own LMTP client to Dovecot. It has
//! no smarthost, so it relays nothing here. It asks DNS about every sender: a name server of ours
//! answers, seen by it alone.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::Way;
use super::super::place::Place;
use super::super::server::{BOXES, DOMAIN, Life, PASSWORD, Server};
use super::dovecot::{self, Dovecot};
use super::resolver::Resolver;
use super::{Running, folder_of, packages};
use crate::address::Address;

const SMTP: u16 = 10_025;
const SUBMISSION: u16 = 10_587;

struct Chasquid {
    _running: Running,
    _dovecot: Dovecot,
    _resolver: Resolver,
    _place: Place,
    _address: Address,
}

impl Life for Chasquid {}

/// Starts one.
///
/// # Errors
///
/// It cannot be installed, configured or started; or it is to relay.
pub fn start(way: Way) -> io::Result<Server> {
    if way == Way::Relay {
        return Err(io::Error::other("it has no smarthost"));
    }
    let (programs, version) = packages::unpacked(&["chasquid"])?;
    let dovecot = dovecot::start(Place::temporary("dovecot")?)?;
    let place = Place::temporary("chasquid")?;
    let root = place.path().to_owned();
    let address = Address::take();
    let (conf, data) = (root.join("conf"), folder_of(&root.join("data"), 0o755)?);
    folder_of(&conf.join("domains").join(DOMAIN), 0o755)?;
    let keys = folder_of(&conf.join("certs").join(format!("mx.{DOMAIN}")), 0o755)?;
    dovecot::certificate(&root)?;
    std::fs::rename(root.join("cert.pem"), keys.join("fullchain.pem"))?;
    std::fs::rename(root.join("key.pem"), keys.join("privkey.pem"))?;
    let text = configuration(&data, &programs, (&address, dovecot.lmtp()));
    std::fs::write(conf.join("chasquid.conf"), text)?;
    for number in 0..BOXES.min(10) {
        add_user(&programs, &conf, number)?;
    }
    let resolver = Resolver::start(&root)?;
    let mut command = resolver.seen_by(&programs.join("usr/bin/chasquid"));
    command.arg("-config_dir").arg(&conf);
    let running = Running::start(&mut command, &root.join("out.log"))?;
    let maildirs = (0..BOXES).map(|n| dovecot.mail().join(format!("box{n}"))).collect();
    let server = Server {
        name: "chasquid",
        version: format!("chasquid {version} + {}", dovecot::version()),
        smtp: Some((address.ip(), SMTP).into()),
        submission: Some((address.ip(), SUBMISSION).into()),
        imap: None,
        imaps: None,
        roots: [running.id()].into_iter().chain(dovecot.root()).collect(),
        maildirs,
        recipients: (0..BOXES.min(10)).map(|number| format!("box{number}@{DOMAIN}")).collect(),
        letter: None,
        life: Box::new(Chasquid {
            _running: running,
            _dovecot: dovecot,
            _resolver: resolver,
            _place: place,
            _address: address,
        }),
    };
    server.await_greeting();
    Ok(server)
}

fn add_user(programs: &Path, conf: &Path, number: usize) -> io::Result<()> {
    let mut command = Command::new(programs.join("usr/bin/chasquid-util"));
    command.arg(format!("-C={}", conf.display()));
    command.arg("user-add").arg(format!("box{number}@{DOMAIN}"));
    command.arg(format!("--password={PASSWORD}"));
    let said = command.stdin(Stdio::null()).output()?;
    match said.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&said.stderr).into_owned())),
    }
}

fn configuration(data: &Path, programs: &Path, (own, lmtp): (&Address, SocketAddr)) -> String {
    let (ip, at) = (own.ip(), data.display());
    let words = ["--addr", &lmtp.to_string(), "-f", "%from%", "-d", "%to%"];
    let words = words.map(|word| format!("mail_delivery_agent_args: \"{word}\"\n"));
    format!(
        "hostname: \"mx.{DOMAIN}\"\nsmtp_address: \"{ip}:{SMTP}\"\n\
         submission_address: \"{ip}:{SUBMISSION}\"\ndata_dir: \"{at}\"\n\
         mail_log_path: \"{at}/mail.log\"\n\
         mail_delivery_agent_bin: \"{}/usr/bin/mda-lmtp\"\n{}",
        programs.display(),
        words.concat(),
    )
}
