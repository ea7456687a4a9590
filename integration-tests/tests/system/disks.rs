//! Disks that are full, have no inodes left, or cannot be written: real ones, of some megabytes.
//! What was answered yes stays, what does not fit is refused for now, reading goes on, and when
//! there is room again all goes on without anybody's hand. Needs root, to mount them.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::clients::note_skipped;
use integration_tests::instance::Builder;
use integration_tests::{Conversation, Instance, Service, wait};

use crate::cluster::{assert_same, domain, exists, greeted, imap, letter, letters, stuffed};

/// A file system in memory that lies over a folder; unmounted at the end.
struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Mounts it over the folder, which keeps what is in it; `None` where we may not.
    fn over(folder: &Path, options: &str) -> Option<Mount> {
        let saved = folder.with_extension("saved");
        run(Command::new("cp").arg("-a").arg(folder).arg(&saved))
            .expect("there is room for a copy");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "posthaste-test"])
            .arg(folder)
            .output();
        if !mount.is_ok_and(|done| done.status.success()) {
            note_skipped("mounting (not root)");
            return None;
        }
        let mounted = Mount { at: folder.to_owned() };
        run(Command::new("cp").arg("-a").arg(saved.join(".")).arg(folder)).expect("it fits");
        Some(mounted)
    }

    fn remount(&self, options: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.at))
            .expect("it can be mounted anew");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.at));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(()) } else { Err(said) }
}

/// An instance whose data lies on a small disk.
fn on_a_small_disk(
    options: &str,
    change: impl Fn(Builder) -> Builder,
) -> Option<(Instance, Mount)> {
    let builder = domain("example.test").set("storage.log_segment", "\"2MB\"");
    let instance = change(builder).init();
    let mount = Mount::over(&instance.data(), options)?;
    Some((instance, mount))
}

/// Sends a letter of so many kilobytes; the reply to its data, or to what came before.
fn bring(talk: &mut Conversation, subject: &str, kilobytes: usize) -> (String, String) {
    let mut text = letter("friend@far.test", "bob@example.test", subject);
    text.push_str(
        &"Sixty-three octets, sixteen times, are one kilobyte of letter.\r\n"
            .repeat(kilobytes * 16),
    );
    for command in ["MAIL FROM:<friend@far.test>", "RCPT TO:<bob@example.test>", "DATA"] {
        talk.line(command);
        let reply = talk.reply();
        if !reply.starts_with('2') && !reply.starts_with('3') {
            talk.say("RSET", "250");
            return (text, reply);
        }
    }
    talk.raw(stuffed(&text).as_bytes());
    let reply = talk.reply();
    (text, reply)
}

/// Fills the disk with letters until one is refused, looks at everything, makes room, goes on.
fn full_and_free_again(here: &mut Instance, ballast: impl Fn(&Instance, bool), kilobytes: usize) {
    ballast(here, true);
    here.up();
    let mut talk = greeted(here, Service::Smtp);
    let mut accepted = Vec::new();
    let refused = (0..3_000)
        .find_map(|number| {
            let (text, reply) = bring(&mut talk, &format!("fills-{number}"), kilobytes);
            if reply.starts_with("250") {
                accepted.push(text);
                return None;
            }
            Some(reply)
        })
        .expect("the disk is smaller than that");
    // RFC 5321 §4.2.3: 452 insufficient system storage; the log itself may fail with 451.
    assert!(refused.starts_with("452") || refused.starts_with("451"), "{refused}");
    assert!(!refused.contains('/'), "a path in a reply: {refused}");
    assert!(!accepted.is_empty(), "nothing fits at all: {refused}");
    // Reading goes on.
    let found = letters(here, "bob@example.test");
    assert_eq!(found.len(), accepted.len());
    let mut mail = imap(here, "bob@example.test");
    mail.line("a STATUS INBOX (MESSAGES)");
    let status = mail.until_tagged("a").pop().unwrap_or_default();
    assert!(status.starts_with("a OK"), "{status}");
    // Room again.
    ballast(here, false);
    wait::until("letters are taken again", || {
        let mut talk = greeted(here, Service::Smtp);
        let (text, reply) = bring(&mut talk, "room", 1);
        reply.starts_with("250").then(|| accepted.push(text))
    });
    let found = letters(here, "bob@example.test");
    assert_eq!(found.len(), accepted.len());
    for (stored, sent) in found.iter().zip(&accepted) {
        assert_same(stored, sent);
    }
    here.assert_balanced();
    // And what is there is there after a death, too.
    here.kill_all();
    here.up();
    assert_eq!(exists(&imap(here, "bob@example.test").imap("s", "SELECT INBOX")), accepted.len());
    here.assert_balanced();
}

/// A file that takes room, or gives it back.
fn heavy(here: &Instance, there: bool) {
    let path = here.data().join("ballast");
    if there {
        std::fs::write(path, vec![1_u8; 8 << 20]).expect("it fits");
    } else {
        std::fs::remove_file(path).expect("it is there");
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let bare = |builder: Builder| {
        // No low-water mark: the disk itself says no, in the midst of whatever is written.
        builder.set("storage.low_water_bytes", "0").set("storage.low_water_inodes", "0")
    };
    let Some((mut here, _mount)) = on_a_small_disk("size=32m", bare) else { return };
    full_and_free_again(&mut here, heavy, 100);
}

#[test]
fn below_the_low_water_mark_letters_are_refused() {
    let marked = |builder: Builder| {
        builder.set("storage.low_water_bytes", "4000000").set("storage.low_water_inodes", "0")
    };
    let Some((mut here, _mount)) = on_a_small_disk("size=36m", marked) else { return };
    full_and_free_again(&mut here, heavy, 100);
}

#[test]
fn without_inodes_letters_are_refused() {
    let bare = |builder: Builder| {
        builder.set("storage.low_water_bytes", "0").set("storage.low_water_inodes", "20")
    };
    let Some((mut here, _mount)) = on_a_small_disk("size=64m,nr_inodes=3000", bare) else { return };
    let many = |here: &Instance, there: bool| {
        let folder = here.data().join("many");
        if there {
            std::fs::create_dir(&folder).expect("it fits");
            (0..2_500).for_each(|number| {
                std::fs::write(folder.join(number.to_string()), "").expect("it fits");
            });
        } else {
            std::fs::remove_dir_all(&folder).expect("it is there");
        }
    };
    full_and_free_again(&mut here, many, 1);
}

#[test]
fn a_disk_that_cannot_be_written_is_said_at_the_start() {
    let Some((mut here, mount)) = on_a_small_disk("size=32m", |builder| {
        builder.set("storage.low_water_bytes", "0").set("storage.low_water_inodes", "0")
    }) else {
        return;
    };
    mount.remount("ro");
    let said = here.up_in_vain();
    assert!(said.to_lowercase().contains("read-only"), "it does not say why:\n{said}");
    mount.remount("rw");
    here.up();
    let mut talk = greeted(&here, Service::Smtp);
    let (text, reply) = bring(&mut talk, "writable", 1);
    assert!(reply.starts_with("250"), "{reply}");
    assert_same(&letters(&here, "bob@example.test")[0], &text);
}
