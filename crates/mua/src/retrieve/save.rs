//! Saves attachments under names that strangers chose: always inside the folder, never over a file
//! that is there, never hidden, never a device or a path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::read::{Letter, PartInfo};
use crate::failure::Failure;
use crate::limits::{MAX_FILE_NAME, MAX_NAMESAKES};

/// What was saved where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Saved {
    /// Number of the part.
    pub part: String,
    /// File.
    pub path: PathBuf,
    /// Octets.
    pub size: usize,
}

/// Saves all attachments of a letter; the folder is made when missing.
///
/// # Errors
/// The folder or a file cannot be written. What was saved before stays.
pub fn attachments(letter: &Letter, folder: &Path) -> Result<Vec<Saved>, Failure> {
    let wanted: Vec<PartInfo> = letter.parts().into_iter().filter(|part| part.attachment).collect();
    wanted.iter().map(|info| part(letter, info, folder)).collect()
}

/// Saves one part.
///
/// # Errors
/// As [`attachments`].
pub fn part(letter: &Letter, info: &PartInfo, folder: &Path) -> Result<Saved, Failure> {
    let found = letter.part(&info.part)?;
    let octets = letter.octets(found);
    let name = file_name(info);
    let problem = |error| Failure::io(format!("cannot save into {}", folder.display()), &error);
    fs::create_dir_all(folder).map_err(problem)?;
    let (mut file, path) = create(folder, &name).map_err(problem)?;
    let written = file.write_all(&octets).and_then(|()| file.flush());
    if let Err(error) = written {
        // Half an attachment is worse than none.
        let _ = fs::remove_file(&path);
        return Err(Failure::io(format!("cannot write {}", path.display()), &error));
    }
    Ok(Saved { part: info.part.clone(), path, size: octets.len() })
}

/// A new file of that name, with a counter before the extension when the name is taken.
fn create(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    let (stem, extension) = split_extension(name);
    for attempt in 0..MAX_NAMESAKES {
        let candidate = match attempt {
            0 => name.to_owned(),
            n => format!("{stem}-{n}{extension}"),
        };
        let path = folder.join(candidate);
        // O_EXCL: neither a file nor a symbolic link that is there is ever followed or written.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of that name are there"))
}

/// A name that is just a name.
pub fn file_name(info: &PartInfo) -> String {
    let foreign = info.name.as_deref().unwrap_or_default();
    // Backslashes are separators where many letters come from.
    let last = foreign.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = crate::show::safe::line(last)
        .chars()
        .map(|c| match c {
            '\u{fffd}' | '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
            c => c,
        })
        .collect();
    // A leading dot hides, a leading hyphen is an option to many programs.
    let clean = clean.trim().trim_start_matches(['.', '-']).trim_end_matches(['.', ' ']);
    if clean.is_empty() {
        let extension = crate::compose::media_type::extension_of(&info.media_type);
        return format!("part-{}{extension}", info.part);
    }
    shorten(clean)
}

/// Within the system's length, the extension kept.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_FILE_NAME {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let extension = if extension.len() <= 20 { extension } else { "" };
    let mut end = (MAX_FILE_NAME - extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", stem.get(..end).unwrap_or_default())
}

fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use message::scan::scan;
    use proptest::prelude::*;

    use super::*;

    fn info(name: &str) -> PartInfo {
        PartInfo {
            part: "1.2".into(),
            media_type: "image/png".into(),
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            size: 0,
            attachment: true,
        }
    }

    #[test]
    fn names_stay_inside() {
        for (foreign, name) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("/etc/cron.d/x", "x"),
            ("..\\..\\autoexec.bat", "autoexec.bat"),
            ("..", "part-1.2.png"),
            ("", "part-1.2.png"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\x1b[2Jb\n.txt", "a_[2Jb .txt"),
            ("Grüße 日本.txt", "Grüße 日本.txt"),
            ("evil\u{202e}txt.exe", "eviltxt.exe"),
            ("C:secret", "C_secret"),
        ] {
            assert_eq!(file_name(&info(foreign)), name, "{foreign:?}");
        }
        let long = file_name(&info(&format!("{}.tar.gz", "ü".repeat(300))));
        assert!(long.len() <= MAX_FILE_NAME && long.ends_with(".gz"), "{long}");
    }

    proptest! {
        #[test]
        fn no_name_gets_out(foreign in "(\\.|/|\\\\|\0|[a-c]|\u{e4}|\n|-){0,30}") {
            let name = file_name(&info(&foreign));
            let path = Path::new("/folder").join(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("/folder")));
            prop_assert!(!name.starts_with('.') && !name.is_empty());
            prop_assert!(!name.chars().any(char::is_control));
        }
    }

    #[test]
    fn nothing_is_overwritten_or_followed() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\none\r\n\
            --b\r\nContent-Disposition: attachment; filename=\"../a.txt\"\r\n\r\ntwo\r\n--b--\r\n";
        let letter = Letter {
            folder: "INBOX".into(),
            uid: 1,
            raw: raw.to_vec(),
            structure: scan(raw),
            flags: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("new/deep");
        let outside = folder.path().join("target");
        fs::create_dir_all(&inside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("a.txt")).unwrap();
        let saved = attachments(&letter, &inside).unwrap();
        let names: Vec<PathBuf> = saved.iter().map(|one| one.path.clone()).collect();
        assert_eq!(names, [inside.join("a-1.txt"), inside.join("a-2.txt")]);
        assert_eq!(fs::read(&names[0]).unwrap(), b"one");
        assert_eq!(fs::read(&names[1]).unwrap(), b"two");
        assert!(!outside.exists());
    }
}
