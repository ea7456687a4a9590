//! Lets the user edit a text in the program of their choice: `VISUAL`, else `EDITOR`, else `vi`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;

/// The text after editing; `None` when it was left as it was.
///
/// # Errors
/// The editor cannot be run, or ended with a failure: the text then stays in the file it names.
pub fn edit(text: &str, random: u64) -> Result<Option<String>, Failure> {
    let path = folder().join(format!("posthaste-{random:016x}.eml"));
    let shown = path.display();
    let problem = |error| Failure::io(format!("cannot use {shown}"), &error);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(problem)?;
    file.write_all(text.as_bytes()).map_err(problem)?;
    drop(file);
    let program = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    // EDITOR may hold arguments (POSIX: it is given to a shell); the file is no part of the script.
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("{program} \"$1\""))
        .arg("sh")
        .arg(&path)
        .status()
        .map_err(|error| Failure::io(format!("cannot run the editor {program:?}"), &error))?;
    if !status.success() {
        return Err(Failure::no(format!(
            "the editor {program:?} failed; nothing was sent, your text is in {shown}"
        )));
    }
    let edited = fs::read(&path).map_err(problem)?;
    let edited = String::from_utf8(edited)
        .map_err(|_| Failure::no(format!("the text is not UTF-8; it is in {shown}")))?;
    // Left behind, it would be a copy of a letter where nobody looks for one.
    let _ = fs::remove_file(&path);
    Ok((edited != text).then_some(edited))
}

/// Where nobody else can look, if the system has such a place.
fn folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_dir())
        .unwrap_or_else(std::env::temp_dir)
}
