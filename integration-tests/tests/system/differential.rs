//! Dovecot as an oracle: the same letters in both, the same commands, the answers compared. What
//! may differ, and why, is in docs/interop.md; `integration-tests/clients/differential.py` does it.

use std::process::Command;

use integration_tests::{Service, clients};

use crate::cluster::{PASSWORD, domain, script};
use crate::dovecot::Dovecot;

#[test]
fn dovecot_answers_alike() {
    let Some(python) = clients::find("python3") else { return };
    let Some(dovecot) = Dovecot::start("imap", CONFIG) else { return };
    drop(integration_tests::Conversation::open((dovecot.ip(), 10_143).into()));
    let here = domain("example.test").cleartext_login().start();
    let mut command = Command::new(python);
    command.arg(script("differential.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HOST", here.ip().to_string()).env("IMAP", Service::Imap.port().to_string());
    command.env("DOVECOT", dovecot.ip().to_string()).env("DOVECOT_IMAP", "10143");
    command.env("ALICE", "alice@example.test").env("PASSWORD", PASSWORD);
    clients::run(&mut command, b"").ok();
}

const CONFIG: &str = "\
base_dir = ROOT/run
instance_name = posthaste-oracle
protocols = imap
listen = ADDRESS
log_path = ROOT/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:ROOT/mail/%n
first_valid_uid = 1
namespace inbox {
  inbox = yes
  separator = /
}
passdb {
  driver = passwd-file
  args = ROOT/users
}
userdb {
  driver = static
  args = uid=8 gid=8 home=ROOT/mail/%n
}
service imap-login {
  inet_listener imap {
    port = 10143
  }
  inet_listener imaps {
    port = 0
  }
}
";
