//! What a filter changes of a header: fields added, put in, replaced and removed. A change cannot
//! bring in more than its field: names are names, and lines of a value are folded.

use message::header;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A field at the end.
    Add(Vec<u8>),
    /// A field before the one at this place, counted from 0.
    Insert(usize, Vec<u8>),
    /// Another field in place of the one of this name at this place, counted from 1; nothing: it is
    /// removed.
    Replace(usize, String, Option<Vec<u8>>),
}

impl Change {
    pub(super) fn add(name: &str, value: &str) -> Result<Self, String> {
        Ok(Change::Add(field(name, value)?))
    }

    pub(super) fn insert(place: u32, name: &str, value: &str) -> Result<Self, String> {
        Ok(Change::Insert(place as usize, field(name, value)?))
    }

    pub(super) fn replace(place: u32, name: &str, value: &str) -> Result<Self, String> {
        let with = if value.is_empty() { None } else { Some(field(name, value)?) };
        let _ = field(name, "")?;
        Ok(Change::Replace(place as usize, name.to_owned(), with))
    }
}

/// The header block after these changes; its empty line stays its end.
pub fn applied(block: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> =
        header::fields(block).map(|field| field.whole(block).to_vec()).collect();
    for change in changes {
        match change {
            Change::Add(field) => fields.push(field.clone()),
            Change::Insert(place, field) => {
                // Sendmail counts its own Received line as the first; there is none yet.
                fields.insert(place.saturating_sub(1).min(fields.len()), field.clone());
            }
            Change::Replace(place, name, with) => {
                let of_name = fields.iter().enumerate().filter(|(_, field)| is_named(field, name));
                let found = of_name.map(|(at, _)| at).nth(place.saturating_sub(1));
                match (found, with) {
                    (Some(at), Some(with)) => {
                        fields.splice(at..=at, [with.clone()]);
                    }
                    (Some(at), None) => drop(fields.remove(at)),
                    (None, Some(with)) => fields.push(with.clone()),
                    (None, None) => {}
                }
            }
        }
    }
    let mut out = fields.concat();
    if block.ends_with(b"\r\n") && header::length(block) == block.len() {
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn is_named(field: &[u8], name: &str) -> bool {
    header::find(field, name).is_some()
}

/// A field with its line end. Lines of the value are folded.
fn field(name: &str, value: &str) -> Result<Vec<u8>, String> {
    let is_name = !name.is_empty() && name.bytes().all(|o| o.is_ascii_graphic() && o != b':');
    if !is_name {
        return Err(format!("a header field with the name {name:?}"));
    }
    let mut out = format!("{name}: ").into_bytes();
    let lines = value.trim_end().split('\n');
    for (index, line) in lines.enumerate() {
        let line = line.trim_end_matches('\r');
        if index > 0 {
            // An empty line would end the header.
            if line.trim().is_empty() {
                continue;
            }
            out.extend_from_slice(b"\r\n");
            if !line.starts_with([' ', '\t']) {
                out.push(b'\t');
            }
        }
        out.extend(line.bytes().filter(|octet| !matches!(octet, 0 | b'\r')));
    }
    out.extend_from_slice(b"\r\n");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] = b"From: a\r\nSubject: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n";

    fn after(change: Result<Change, String>) -> String {
        String::from_utf8(applied(BLOCK, &[change.unwrap()])).unwrap()
    }

    #[test]
    fn fields_come_go_and_change() {
        assert!(after(Change::add("X-B", "3")).ends_with("X-A: 2\r\nX-B: 3\r\n\r\n"));
        assert!(after(Change::insert(0, "X-B", "3")).starts_with("X-B: 3\r\nFrom: a\r\n"));
        assert!(after(Change::insert(1, "X-B", "3")).starts_with("X-B: 3\r\nFrom: a\r\n"));
        assert!(after(Change::replace(2, "x-a", "9")).contains("X-A: 1\r\nx-a: 9\r\n\r\n"));
        assert!(!after(Change::replace(1, "Subject", "")).contains("Subject"));
        assert!(after(Change::replace(5, "X-A", "")).contains("X-A: 2"));
        assert!(after(Change::insert(99, "X-B", "3")).ends_with("X-B: 3\r\n\r\n"));
    }

    #[test]
    fn a_change_is_one_field() {
        let evil = after(Change::add("X-B", "a\r\n\r\nbody\nBcc: x"));
        assert!(evil.ends_with("X-B: a\r\n\tbody\r\n\tBcc: x\r\n\r\n"), "{evil}");
        assert!(Change::add("X: y\r\nZ", "1").is_err() && Change::replace(1, "", "").is_err());
    }
}
