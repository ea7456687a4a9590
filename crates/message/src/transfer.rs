//! Content transfer encodings (RFC 2045 §6) and encoded words (RFC 2047), tolerant when reading,
//! strict when writing.

/// Appends `bytes` as quoted-printable text (RFC 2045 §6.7); CRLF in it stays a line end.
pub fn encode_quoted_printable(_bytes: &[u8], _out: &mut Vec<u8>) {
    todo!()
}

/// The text for a header field: as it is when ASCII, else as encoded words of UTF-8 (RFC 2047).
pub fn encode_words(_text: &str) -> String {
    todo!()
}

/// The octets of a part's body, its transfer encoding removed; broken input gives what can be read.
pub fn decode(_encoding: &str, _body: &[u8]) -> Vec<u8> {
    todo!()
}
