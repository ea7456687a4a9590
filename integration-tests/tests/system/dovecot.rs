//! Dovecot's LMTP in the place of our MDA: `mta.local_delivery`.

use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration_tests::{Address, Authority, clients, process, wait};
use tempfile::TempDir;

use crate::cluster::{PASSWORD, assert_same, domain, letter, submit};

/// The LMTP port of the test's Dovecot.
const PORT: u16 = 10_024;

/// A Dovecot of a test's own.
pub(crate) struct Dovecot {
    folder: TempDir,
    address: Address,
    child: Child,
}

impl Dovecot {
    /// Starts it if `module` (lmtp, imap) is installed. `config` has ROOT and ADDRESS in it;
    /// beside it lie users, cert.pem, key.pem and the authority in ca.pem.
    pub(crate) fn start(module: &str, config: &str) -> Option<Dovecot> {
        let program = clients::find("dovecot")?;
        if !Path::new("/usr/lib/dovecot").join(module).exists() {
            clients::note_skipped(&format!("dovecot-{module}d"));
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            clients::note_skipped("dovecot (needs root)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("dc-").tempdir().expect("a folder");
        let address = Address::take();
        let root = folder.path();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root, mode).expect("the folder is ours");
        let mail = root.join("mail");
        std::fs::create_dir(&mail).expect("the folder is writable");
        std::os::unix::fs::chown(&mail, Some(MAIL_ID), Some(MAIL_ID)).expect("root may");
        let users =
            ["alice", "bob"].map(|name| format!("{name}@example.test:{{PLAIN}}{PASSWORD}\n"));
        std::fs::write(root.join("users"), users.concat()).expect("the folder is writable");
        let authority = Authority::new();
        authority.issue("dovecot.test", &address, &root.join("cert.pem"), &root.join("key.pem"));
        std::fs::write(root.join("ca.pem"), authority.pem()).expect("the folder is writable");
        let config = config
            .replace("ROOT", &root.display().to_string())
            .replace("ADDRESS", &address.ip().to_string());
        std::fs::write(root.join("dovecot.conf"), config).expect("the folder is writable");
        let log = std::fs::File::create(root.join("out")).expect("the folder is writable");
        let child = Command::new(program)
            .arg("-F")
            .arg("-c")
            .arg(root.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("dovecot starts");
        Some(Dovecot { folder, address, child })
    }

    /// Where it listens.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Its folder.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    fn letters(&self, user: &str) -> Vec<Vec<u8>> {
        let new = self.folder.path().join("mail").join(user).join("new");
        let entries = std::fs::read_dir(new).into_iter().flatten().flatten();
        entries.filter_map(|entry| std::fs::read(entry.path()).ok()).collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("dovecot.log"));
            eprintln!("--- dovecot:\n{}", log.unwrap_or_default());
        }
        process::terminate(self.child.id());
        let patience = std::time::Duration::from_secs(5);
        let _ = wait::try_within(patience, || self.child.try_wait().ok().flatten());
        process::kill_group(self.child.id());
        let _ = self.child.wait();
    }
}

/// `mail` of Debian.
pub(crate) const MAIL_ID: u32 = 8;

const CONFIG: &str = "\
base_dir = ROOT/run
instance_name = posthaste-test
protocols = lmtp
listen = ADDRESS
log_path = ROOT/dovecot.log
ssl = no
mail_location = maildir:ROOT/mail/%n
mail_home = ROOT/mail/%n
first_valid_uid = 1
passdb {
  driver = passwd-file
  args = ROOT/users
}
userdb {
  driver = static
  args = uid=8 gid=8 home=ROOT/mail/%n
}
service lmtp {
  inet_listener lmtp {
    address = ADDRESS
    port = 10024
  }
}
";

#[test]
fn dovecot_keeps_our_mail() {
    let Some(dovecot) = Dovecot::start("lmtp", CONFIG) else { return };
    let target = format!("\"lmtp:{}:{PORT}\"", dovecot.ip());
    let here = domain("example.test")
        .set("mta.local_delivery", target)
        .set("agents.run", "[\"auth\",\"msa\",\"mta\"]")
        .start();
    let at = std::net::SocketAddr::new(dovecot.ip(), PORT);
    drop(integration_tests::Conversation::open(at));
    let sent = letter("alice@example.test", "bob@example.test", "for-dovecot");
    for _ in 0..3 {
        let to = ["bob@example.test", "alice@example.test"];
        submit(&here, "alice@example.test", &to, &sent);
    }
    for user in ["alice", "bob"] {
        let found = wait::until("three letters at Dovecot", || {
            let found = dovecot.letters(user);
            (found.len() >= 3).then_some(found)
        });
        for stored in found {
            // Dovecot writes Maildir files with bare LF.
            let stored =
                String::from_utf8_lossy(&stored).replace("\r\n", "\n").replace('\n', "\r\n");
            assert_same(stored.as_bytes(), &sent);
        }
    }
    wait::until("the queue is empty", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}
