//! `posthaste mail` reading at a Dovecot what it hands in at a Posthaste: any IMAP server will do.

use std::path::PathBuf;

use integration_tests::Instance;

use crate::cluster::single;
use crate::dovecot::Dovecot;
use crate::mail::{account, json, mail};

/// Both authorities in one file.
fn roots(here: &Instance, dovecot: &Dovecot) -> PathBuf {
    let both = [here.roots(), dovecot.root().join("ca.pem")]
        .map(|path| std::fs::read_to_string(path).expect("an authority"));
    let path = here.root().join("both.pem");
    std::fs::write(&path, both.concat()).expect("the folder is ours");
    path
}

#[test]
fn dovecot_is_read_as_well() {
    let Some(dovecot) = Dovecot::start("imap", IMAP) else { return };
    drop(integration_tests::Conversation::open((dovecot.ip(), 10_143).into()));
    let here = single();
    let roots = roots(&here, &dovecot);
    for (user, imap) in [("alice", "imaps://IP:10993"), ("bob", "imap://IP:10143")] {
        account(&here, user, &imap.replace("IP", &dovecot.ip().to_string()), &roots);
        std::fs::write(here.root().join("notes.txt"), "Grüße\n").expect("the folder is ours");
        let words = ["send", "--to", "alice@example.test", "-s", "Grüße", "--text", "x"];
        let sent = json(&here, user, &[&words[..], &["--attach", "notes.txt"]].concat());
        assert_eq!(sent[0]["copy"], "Sent", "{sent:?}");
        let listed = json(&here, user, &["list", "sent"]).remove(0);
        assert_eq!((&listed["subject"], &listed["seen"]), (&"Grüße".into(), &true.into()));
        mail(&here, user, &["read", "1", "-f", "Sent", "--save", user]).ok();
        let saved = std::fs::read_to_string(here.root().join(user).join("notes.txt"));
        assert_eq!(saved.expect("saved"), "Grüße\n");
        let found = json(&here, user, &["search", "-f", "Sent", "subject:grü", "has:attachment"]);
        assert_eq!(found.len(), 1);
        mail(&here, user, &["folders", "--create", "Ablage ü"]).ok();
        mail(&here, user, &["flag", "flagged,-read", "1", "-f", "Sent"]).ok();
        mail(&here, user, &["move", "1", "-f", "Sent", "--to", "Ablage ü"]).ok();
        let moved = json(&here, user, &["list", "Ablage ü"]).remove(0);
        assert_eq!((&moved["flagged"], &moved["seen"]), (&true.into(), &false.into()));
    }
}

/// IMAP over TLS and with STARTTLS.
pub(crate) const IMAP: &str = "\
base_dir = ROOT/run
instance_name = posthaste-imap-test
protocols = imap
listen = ADDRESS
log_path = ROOT/dovecot.log
ssl = required
ssl_cert = <ROOT/cert.pem
ssl_key = <ROOT/key.pem
auth_mechanisms = plain login scram-sha-256
mail_location = maildir:ROOT/mail/%n
first_valid_uid = 1
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
    port = 10993
  }
}
namespace inbox {
  inbox = yes
  mailbox Sent {
    auto = create
    special_use = \\Sent
  }
}
";
