//! Fetches a password from where the account file says: a file, a program, or the terminal. It is
//! never taken from an argument or the environment, where other users could see it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use protocol::secret::Secret;
use rustix::termios::{self, LocalModes, OptionalActions};

use super::{Account, PasswordSource};
use crate::failure::Failure;
use crate::limits::{MAX_PASSWORD, PASSWORD_COMMAND};

/// The password of an account. Blocks: a program or a person may be asked.
///
/// # Errors
/// The file is missing or open to others, the program fails, or there is no terminal to ask at.
pub fn fetch(account: &Account) -> Result<Secret<String>, Failure> {
    match &account.password {
        PasswordSource::File(path) => from_file(path),
        PasswordSource::Command(words) => from_command(words),
        PasswordSource::Prompt => {
            ask(&format!("Password of {} at {}: ", account.user, account.imap.host))
        }
    }
}

fn from_file(path: &Path) -> Result<Secret<String>, Failure> {
    let shown = path.display();
    let problem = |error| Failure::io(format!("cannot read the password file {shown}"), &error);
    let mut file = File::open(path).map_err(problem)?;
    let mode = file.metadata().map_err(problem)?.mode();
    if mode & 0o077 != 0 {
        return Err(Failure::not_allowed(format!(
            "the password file {shown} can be used by others (mode {:03o}); \
             run: chmod 600 {shown}",
            mode & 0o777
        )));
    }
    let text = read_bounded(&mut file).map_err(problem)?;
    first_line(&text).ok_or_else(|| Failure::no(format!("the password file {shown} is empty")))
}

fn from_command(words: &[String]) -> Result<Secret<String>, Failure> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| Failure::configuration("password_command names no program"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::io(format!("cannot run password_command {program:?}"), &error))?;
    let mut output = child.stdout.take();
    // Read on a thread of its own, so that a program that hangs can be ended.
    let reader = std::thread::spawn(move || output.as_mut().map(read_bounded));
    let success = wait(&mut child)?;
    let text = reader
        .join()
        .ok()
        .flatten()
        .and_then(Result::ok)
        .ok_or_else(|| Failure::no(format!("password_command {program:?} printed no text")))?;
    if !success {
        return Err(Failure::no(format!("password_command {program:?} failed")));
    }
    first_line(&text)
        .ok_or_else(|| Failure::no(format!("password_command {program:?} printed nothing")))
}

/// Whether the child ended well; it is ended when it takes too long.
fn wait(child: &mut Child) -> Result<bool, Failure> {
    let until = Instant::now() + PASSWORD_COMMAND;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < until => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Ok(None) => {
                // Gone already is as good as ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Failure::try_again(format!(
                    "password_command took more than {} s",
                    PASSWORD_COMMAND.as_secs()
                )));
            }
            Err(error) => return Err(Failure::io("cannot wait for password_command", &error)),
        }
    }
}

/// Asks at the terminal without showing what is typed.
///
/// # Errors
/// There is no terminal, or nothing was typed.
pub fn ask(prompt: &str) -> Result<Secret<String>, Failure> {
    let file = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        Failure::not_allowed(
            "a password is needed and there is no terminal to ask at; set password_file or \
                 password_command in the account file",
        )
    })?;
    let silent = Silence::begin(&file);
    let mut terminal = &file;
    let line = terminal
        .write_all(prompt.as_bytes())
        .and_then(|()| terminal.flush())
        .and_then(|()| read_line(terminal));
    drop(silent);
    // The line end that was typed was not shown either.
    let _ = terminal.write_all(b"\n");
    let line = line.map_err(|error| Failure::io("cannot read from the terminal", &error))?;
    first_line(&line).ok_or_else(|| Failure::no("no password was given"))
}

/// Echo switched off until dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: termios::Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a File) -> Option<Silence<'a>> {
        let before = termios::tcgetattr(terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(terminal, OptionalActions::Flush, &quiet).ok()?;
        Some(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that went away.
        let _ = termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_line(mut terminal: &File) -> io::Result<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while line.len() < MAX_PASSWORD && terminal.read(&mut octet)? == 1 && octet != *b"\n" {
        line.extend_from_slice(&octet);
    }
    String::from_utf8(line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

fn read_bounded(source: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(MAX_PASSWORD as u64).read_to_string(&mut text)?;
    Ok(text)
}

fn first_line(text: &str) -> Option<Secret<String>> {
    let line = text.lines().next().unwrap_or_default();
    (!line.is_empty()).then(|| Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn from_a_file_that_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "s\u{e4}cret word \nsecond line\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(from_file(&path).unwrap_err().kind, crate::Kind::NotAllowed);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(from_file(&path).unwrap().reveal(), "s\u{e4}cret word ");
        assert!(from_file(&folder.path().join("none")).is_err());
    }

    #[test]
    fn from_a_program() {
        let run = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            from_command(&words)
        };
        assert_eq!(run(&["printf", "one\\ntwo"]).unwrap().reveal(), "one");
        assert!(run(&["false"]).is_err());
        assert!(run(&["true"]).is_err(), "prints nothing");
        assert!(run(&["/nonexistent/program"]).is_err());
    }
}
