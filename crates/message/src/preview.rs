//! The first words of a letter (RFC 8970): what people see of it in a list. Called by FETCH
//! PREVIEW.

use crate::limits::{MAX_PREVIEW, MAX_PREVIEW_READ};
use crate::scan::structure::Structure;
use crate::values::{html_words, octets_text, readable_part};

/// The octets of a letter that its preview is made from, as a range; `None`: there is no text.
pub fn source(structure: &Structure) -> Option<crate::scan::structure::Span> {
    let (_, part) = readable_part(structure)?;
    let most = MAX_PREVIEW_READ.min(part.body.len());
    Some(crate::scan::structure::Span::new(part.body.start, part.body.start + most))
}

/// The preview, from the octets of [`source`]. White space is single spaces.
///
/// mail-parser reads HTML: callers that serve others use `catch_unwind`.
pub fn text(structure: &Structure, octets: &[u8]) -> Option<String> {
    let (_, part) = readable_part(structure)?;
    let mut text = octets_text(part, octets);
    if part.media.subtype.eq_ignore_ascii_case("html") {
        text = html_words(&text);
    }
    let mut preview = String::new();
    // Lines that quote others say little of this letter.
    let own = text.lines().filter(|line| !line.trim_start().starts_with('>'));
    for word in own.flat_map(str::split_whitespace) {
        let space = usize::from(!preview.is_empty());
        let room = MAX_PREVIEW.saturating_sub(preview.chars().count() + space);
        if room == 0 {
            break;
        }
        preview.extend(std::iter::repeat_n(' ', space));
        preview.extend(word.chars().filter(|c| !c.is_control()).take(room));
    }
    Some(preview)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(letter: &str) -> Option<String> {
        let structure = crate::scan::scan(letter.as_bytes());
        let octets = source(&structure)?;
        text(&structure, octets.of(letter.as_bytes()))
    }

    #[test]
    fn the_first_words() {
        let plain = "Subject: x\r\n\r\nHello\r\n> you said\r\n  world,\r\nhow are you?\r\n";
        assert_eq!(preview(plain).as_deref(), Some("Hello world, how are you?"));
        let html = "Content-Type: text/html\r\n\r\n<p>Hi <b>there</b></p>\r\n";
        assert_eq!(preview(html).as_deref(), Some("Hi there"));
        assert_eq!(preview("Content-Type: image/png\r\n\r\nxx"), None);
        let long = format!("\r\n{}", "w\u{f6}rd ".repeat(200));
        assert_eq!(preview(&long).map(|text| text.chars().count() <= 200), Some(true));
    }
}
