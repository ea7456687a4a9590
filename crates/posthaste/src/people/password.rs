//! Where a password comes from: standard input, or a prompt on the terminal without echo. Never an
//! argument: those are seen by everybody on the machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use directory::PasswordVerifier;
use protocol::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use service::{Exit, Fatal};

/// How a password is given.
#[derive(clap::Args, Debug, Clone, Copy)]
pub(super) struct Source {
    /// Reads the password from the first line of standard input
    #[arg(long)]
    pub(super) password_stdin: bool,
}

impl Source {
    /// Takes the password and makes its verifiers.
    ///
    /// # Errors
    /// 64 when there is none, or none that can be used.
    pub(super) fn verifier(self) -> Result<PasswordVerifier, Fatal> {
        let password = if self.password_stdin { from_stdin()? } else { prompted()? };
        let verifier = PasswordVerifier::new(password.reveal());
        verifier.map_err(|error| Fatal::new(Exit::Usage, error.to_string()))
    }
}

fn from_stdin() -> Result<Secret<String>, Fatal> {
    let line = read_line(&mut io::stdin().lock())?;
    if line.reveal().is_empty() {
        return Err(Fatal::new(Exit::Usage, "standard input has no password in its first line"));
    }
    Ok(line)
}

/// Asks twice on the terminal, wherever standard input and output go.
fn prompted() -> Result<Secret<String>, Fatal> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let Some(terminal) = terminal.ok().filter(IsTerminal::is_terminal) else {
        let what = "there is no terminal to ask for a password; use --password-stdin";
        return Err(Fatal::new(Exit::Usage, what));
    };
    let first = ask(&terminal, "Password: ")?;
    let again = ask(&terminal, "Again: ")?;
    if first != again {
        return Err(Fatal::new(Exit::Usage, "the two passwords differ; nothing was changed"));
    }
    Ok(first)
}

fn ask(mut terminal: &File, prompt: &str) -> Result<Secret<String>, Fatal> {
    let cannot = |error: io::Error| Fatal::io("cannot ask on the terminal", &error);
    let _silent = Silent::make(terminal).map_err(cannot)?;
    terminal.write_all(prompt.as_bytes()).map_err(cannot)?;
    let line = read_line(&mut BufReader::new(terminal));
    // The line end that was typed was not shown.
    terminal.write_all(b"\n").map_err(cannot)?;
    line
}

fn read_line(input: &mut impl BufRead) -> Result<Secret<String>, Fatal> {
    let mut line = String::new();
    let most = directory::limits::PASSWORD_LONGEST as u64 + 2;
    std::io::Read::take(&mut *input, most)
        .read_line(&mut line)
        .map_err(|error| Fatal::io("cannot read the password", &error))?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(Secret::new(line))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn make(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}
