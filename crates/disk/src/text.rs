//! Free text in one field of one line: what could end the field is written as `%XX`. For the
//! line-based files of this crate and of the stores.

use std::fmt;

use crate::limits::FIELD;

/// Prints with control characters and `%` as `%XX`, and cut to [`FIELD`] bytes.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = FIELD;
        for character in self.0.chars() {
            if left < 4 {
                break;
            }
            left -= character.len_utf8();
            if character.is_control() || character == '%' {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    write!(f, "%{byte:02X}")?;
                }
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

/// The text that [`Escaped`] printed; `None` if it is not of that form.
pub fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}
