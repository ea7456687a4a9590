//! Exim as a peer: Debian's package, `appendfile` into Maildirs, immediate delivery. Raised:
//! bounds on sessions and on letters of one session that are delivered at once, since all load
//! comes from one address; no reverse look-ups, since there is no DNS here.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::super::Way;
use super::super::place::Place;
use super::super::server::{BOXES, DOMAIN, Life, PASSWORD, Server};
use super::{OWNER, Running, StartTls, Use, dovecot, folder_of, maildirs, packages};
use crate::address::Address;

const SMTP: u16 = 10_025;
const SUBMISSION: u16 = 10_587;
/// Configurations under which Exim keeps its privileges when it starts itself anew.
const TRUSTED: &str = "/etc/exim4/trusted_configs";
const LIBRARIES: [&str; 5] =
    ["libidn12", "libgnutls-dane0", "libidn2-0", "libnsl2", "libpcre2-8-0"];

struct Exim {
    _running: Running,
    _place: Place,
    _address: Address,
}

impl Life for Exim {}

/// Starts one for a way; `sink` is where everything else goes. It offers STARTTLS and does not use
/// it.
///
/// # Errors
///
/// It cannot be installed, configured or started.
pub fn start(way: Way, sink: SocketAddr) -> io::Result<Server> {
    start_with(way, sink, StartTls { offered: Use::Yes, asked: Use::No })
}

/// The same, with or without STARTTLS.
///
/// # Errors
///
/// It cannot be installed, configured or started.
pub fn start_with(way: Way, sink: SocketAddr, tls: StartTls) -> io::Result<Server> {
    let (programs, version) = packages::unpacked(&["exim4-daemon-light", "exim4-base"])?;
    packages::installed(&LIBRARIES)?;
    let (user, group) = packages::account("Debian-exim")?;
    let place = Place::temporary("exim")?;
    let root = place.path().to_owned();
    for name in ["spool", "log"] {
        chown(folder_of(&root.join(name), 0o750)?, Some(user), Some(group))?;
    }
    let maildirs = maildirs(&folder_of(&root.join("mail"), 0o755)?)?;
    dovecot::certificate(&root)?;
    chown(root.join("key.pem"), Some(user), Some(group))?;
    // What a look-up gives may be part of a path; what a client says may not.
    let known: String = (0..BOXES).map(|number| format!("box{number}: box{number}\n")).collect();
    std::fs::write(root.join("boxes"), known)?;
    let address = Address::take();
    let program = programs.join("usr/sbin/exim4");
    let conf = root.join("exim.conf");
    std::fs::write(&conf, configuration(&root, &program, (way, sink, &address, tls)))?;
    std::fs::create_dir_all("/etc/exim4")?;
    // Its own place in the list goes with the folder: nobody else can make a file of that name.
    std::fs::write(TRUSTED, format!("{}\n", conf.display()))?;
    let mut command = Command::new(&program);
    command.arg("-C").arg(&conf).args(["-bdf", "-q30m"]);
    let running = Running::start(&mut command, &root.join("out.log"))?;
    let server = Server {
        name: "Exim",
        version: format!("Exim {version}"),
        smtp: Some((address.ip(), SMTP).into()),
        submission: Some((address.ip(), SUBMISSION).into()),
        imap: None,
        imaps: None,
        roots: vec![running.id()],
        maildirs,
        recipients: (0..BOXES).map(|number| format!("box{number}@{DOMAIN}")).collect(),
        letter: None,
        life: Box::new(Exim { _running: running, _place: place, _address: address }),
    };
    server.await_greeting();
    Ok(server)
}

fn configuration(
    root: &Path,
    program: &Path,
    (way, sink, address, tls): (Way, SocketAddr, &Address, StartTls),
) -> String {
    let offered = if tls.offered == Use::Yes { "*" } else { "" };
    let avoided = if tls.asked == Use::Yes { "" } else { "*" };
    let (at, ip) = (root.display(), address.ip());
    let domains = if way == Way::Relay { "" } else { DOMAIN };
    format!(
        "exim_path = {}\nprimary_hostname = mx.{DOMAIN}\nspool_directory = {at}/spool\n\
         log_file_path = {at}/log/%slog\npid_file_path = {at}/spool/exim.pid\nkeep_environment =\n\
         local_interfaces = {ip}\ndaemon_smtp_ports = {SMTP} : {SUBMISSION}\n\
         tls_certificate = {at}/cert.pem\ntls_privatekey = {at}/key.pem\ntls_advertise_hosts = {offered}\n\
         domainlist local_domains = {domains}\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
         smtp_accept_max = 1200\nsmtp_accept_max_per_connection = 0\n\
         smtp_accept_queue_per_connection = 0\nsmtp_connect_backlog = 1000\n\
         acl_smtp_rcpt = rcpt\nbegin acl\nrcpt:\n  accept hosts = 127.0.0.0/8\n         \
         condition = ${{if eq{{$received_port}}{{{SMTP}}}}}\n  accept authenticated = *\n  \
         deny message = relay not permitted\nbegin routers\nlocal:\n  driver = accept\n  \
         domains = +local_domains\n  local_parts = lsearch;{at}/boxes\n  \
         transport = maildir\nout:\n  driver = manualroute\n  \
         route_list = * {} byname\n  self = send\n  transport = sink\nbegin transports\nmaildir:\n  \
         driver = appendfile\n  directory = {at}/mail/$local_part_data\n  \
         maildir_format\n  user = {OWNER}\n  group = {OWNER}\n  delivery_date_add\n  \
         envelope_to_add\n  return_path_add\nsink:\n  driver = smtp\n  port = {}\n  \
         allow_localhost\n  hosts_avoid_tls = {avoided}\nbegin retry\n* * F,2h,15m\n\
         begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  \
         server_prompts = :\n  server_condition = ${{if eq{{$auth3}}{{{PASSWORD}}}}}\n  \
         server_advertise_condition = ${{if def:tls_in_cipher}}\n  server_set_id = $auth2\n",
        program.display(),
        sink.ip(),
        sink.port(),
    )
}
