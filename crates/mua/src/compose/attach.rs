//! Files that go with a letter.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use message::compose::{Attachment, Placement};

use super::media_type;
use crate::failure::Failure;
use crate::limits::{MAX_ATTACHMENTS, MAX_TEXT};

/// Reads files as attachments: text, image, sound, video, anything.
///
/// # Errors
/// One cannot be read, is no file, or together they are too large.
pub fn files<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Attachment>, Failure> {
    let mut room = MAX_ATTACHMENTS;
    let mut found = Vec::new();
    for path in paths {
        let one = file(path.as_ref(), room)?;
        room -= u64::try_from(one.octets.len()).unwrap_or(room).min(room);
        found.push(one);
    }
    Ok(found)
}

fn file(path: &Path, room: u64) -> Result<Attachment, Failure> {
    let shown = path.display();
    let problem = |error| Failure::io(format!("cannot attach {shown}"), &error);
    let file = File::open(path).map_err(problem)?;
    if file.metadata().map_err(problem)?.is_dir() {
        return Err(Failure::usage(format!(
            "cannot attach {shown}: it is a folder; pack it first"
        )));
    }
    let mut octets = Vec::new();
    file.take(room + 1).read_to_end(&mut octets).map_err(problem)?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > room) {
        return Err(Failure::no(format!(
            "cannot attach {shown}: all attachments together may have {} MiB",
            MAX_ATTACHMENTS >> 20
        )));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Attachment {
        media_type: media_type::guess(name.as_deref().unwrap_or_default(), &octets).to_owned(),
        file_name: name,
        content_id: None,
        placement: Placement::Attached,
        octets,
    })
}

/// A text from a file, or from standard input for `-`.
///
/// # Errors
/// It cannot be read, is too long, or is not UTF-8.
pub fn text(path: &Path) -> Result<String, Failure> {
    let shown =
        if path == Path::new("-") { "standard input".into() } else { path.to_string_lossy() };
    let problem = |error| Failure::io(format!("cannot read the text from {shown}"), &error);
    let mut octets = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX_TEXT + 1).read_to_end(&mut octets).map_err(problem)?;
    } else {
        let file = File::open(path).map_err(problem)?;
        file.take(MAX_TEXT + 1).read_to_end(&mut octets).map_err(problem)?;
    }
    if u64::try_from(octets.len()).is_ok_and(|length| length > MAX_TEXT) {
        return Err(Failure::no(format!(
            "the text from {shown} is longer than {} MiB; attach it instead",
            MAX_TEXT >> 20
        )));
    }
    String::from_utf8(octets).map_err(|_| {
        Failure::no(format!("the text from {shown} is not UTF-8; convert it, or attach it instead"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_names_and_octets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Bild ü.png");
        std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        let found = files(&[&path]).unwrap();
        assert_eq!(found[0].media_type, "image/png");
        assert_eq!(found[0].file_name.as_deref(), Some("Bild ü.png"));
        assert_eq!(found[0].octets, b"\x89PNG\r\n\x1a\n");
        assert!(files(&[folder.path()]).unwrap_err().text.contains("folder"));
        assert!(files(&[folder.path().join("none")]).is_err());
    }

    #[test]
    fn texts_are_utf8() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, "Grüße\n").unwrap();
        assert_eq!(text(&path).unwrap(), "Grüße\n");
        std::fs::write(&path, b"\xfc").unwrap();
        assert!(text(&path).unwrap_err().text.contains("UTF-8"));
    }
}
