//! A letter as a text to be edited: fields, an empty line, the text. What comes back from the
//! editor becomes the letter; attachments and the thread stay as they were.

use message::compose::{Correspondent, Draft};
use message::header;

use super::people;
use crate::failure::Failure;

/// The form of a letter.
pub fn write(draft: &Draft) -> String {
    let list = |all: &[Correspondent]| all.iter().map(person).collect::<Vec<_>>().join(", ");
    format!(
        "From: {}\nTo: {}\nCc: {}\nBcc: {}\nSubject: {}\n\n{}",
        person(&draft.from),
        list(&draft.to),
        list(&draft.cc),
        list(&draft.bcc),
        draft.subject.replace(['\r', '\n'], " "),
        draft.text
    )
}

/// Takes the fields and the text of an edited form.
///
/// # Errors
/// A field names something that is no address, or is not one of the form.
pub fn read(form: &str, draft: &mut Draft) -> Result<(), Failure> {
    let block = form.as_bytes();
    let value = |name: &str| {
        header::find(block, name)
            .map(|field| String::from_utf8_lossy(&header::unfold(field.value(block))).into_owned())
    };
    for field in header::fields(block) {
        let name = String::from_utf8_lossy(field.name(block)).into_owned();
        let known = ["from", "to", "cc", "bcc", "subject"];
        if !known.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Failure::usage(format!(
                "{name:?} is no field of the form; From, To, Cc, Bcc and Subject are, then an \
                 empty line, then the text"
            )));
        }
    }
    let from = value("From").map(|from| people(&from)).transpose()?.unwrap_or_default();
    if let Some(one) = from.into_iter().next() {
        draft.from = one;
    }
    let list = |name: &str| value(name).map_or(Ok(Vec::new()), |typed| people(&typed));
    draft.to = list("To")?;
    draft.cc = list("Cc")?;
    draft.bcc = list("Bcc")?;
    draft.subject = value("Subject").unwrap_or_default();
    draft.text = form.get(header::length(block)..).unwrap_or_default().to_owned();
    Ok(())
}

/// `Name <address>`, the name quoted where it must be.
pub fn person(one: &Correspondent) -> String {
    match &one.name {
        None => one.address.to_string(),
        Some(name) => {
            let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || " -_'".contains(c);
            let name: String = name.chars().filter(|c| !c.is_control()).collect();
            if name.chars().all(plain) {
                format!("{name} <{}>", one.address)
            } else {
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{quoted}\" <{}>", one.address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let one = |name: &str, address: &str| Correspondent {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            address: address.parse().unwrap(),
        };
        let mut draft = Draft::new(one("Alice Ä", "alice@red.test"));
        draft.to = vec![one("Bob, \"B\" \\ Co", "bob@blue.test"), one("", "\"c d\"@blue.test")];
        draft.subject = "Grüße: zwei".into();
        draft.text = "Text\n\nBcc: no field\n".into();
        let mut back = Draft::new(one("", "x@y"));
        read(&write(&draft), &mut back).unwrap();
        assert_eq!(back, draft);
    }

    #[test]
    fn mistakes_are_told() {
        let mut draft = Draft::new(Correspondent { name: None, address: "a@b".parse().unwrap() });
        assert!(read("Tp: a@b\n\ntext", &mut draft).unwrap_err().text.contains("Tp"));
        assert!(read("To: a b c\n\ntext", &mut draft).is_err());
        read("To:\nSubject: x\n\nText\n", &mut draft).unwrap();
        assert!(draft.to.is_empty());
        assert_eq!((draft.subject.as_str(), draft.text.as_str()), ("x", "Text\n"));
    }
}
