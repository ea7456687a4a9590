//! Media types of files, by extension and else by their first octets. A short table of what people
//! attach; the receiver's program decides by itself anyway.

/// Extension and media type; the first of a type is the one it gets when it has no name.
const TABLE: [(&str, &str); 86] = [
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("ics", "text/calendar"),
    ("vcf", "text/vcard"),
    ("xml", "text/xml"),
    ("rs", "text/plain"),
    ("c", "text/x-c"),
    ("h", "text/x-c"),
    ("py", "text/x-python"),
    ("sh", "text/x-shellscript"),
    ("diff", "text/x-diff"),
    ("patch", "text/x-diff"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("svg", "image/svg+xml"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("heic", "image/heic"),
    ("ico", "image/vnd.microsoft.icon"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("oga", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("flac", "audio/flac"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("mid", "audio/midi"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("ogv", "video/ogg"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("3gp", "video/3gpp"),
    ("pdf", "application/pdf"),
    ("json", "application/json"),
    ("toml", "application/toml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("js", "text/javascript"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("tgz", "application/gzip"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("zst", "application/zstd"),
    ("7z", "application/x-7z-compressed"),
    ("tar", "application/x-tar"),
    ("rar", "application/vnd.rar"),
    ("deb", "application/vnd.debian.binary-package"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("rtf", "application/rtf"),
    ("epub", "application/epub+zip"),
    ("ps", "application/postscript"),
    ("tex", "application/x-tex"),
    ("asc", "application/pgp-keys"),
    ("sig", "application/pgp-signature"),
    ("p7s", "application/pkcs7-signature"),
    ("pem", "application/x-pem-file"),
    ("gpx", "application/gpx+xml"),
    ("sqlite", "application/vnd.sqlite3"),
    ("wasm", "application/wasm"),
    ("eml", "message/rfc822"),
    ("bin", "application/octet-stream"),
];

/// First octets, and what they mean.
const MAGIC: [(&[u8], &str); 17] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
];

/// The media type of a file by its name, else by its content.
pub fn guess(name: &str, octets: &[u8]) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let known = |(known, _): &&(&str, &str)| Some(*known) == extension.as_deref();
    match TABLE.iter().find(known) {
        Some((_, media_type)) => media_type,
        None => by_content(octets),
    }
}

fn by_content(octets: &[u8]) -> &'static str {
    if let Some((_, media_type)) = MAGIC.iter().find(|(magic, _)| octets.starts_with(magic)) {
        return media_type;
    }
    match octets {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "video/mp4",
        _ => {
            let beginning = octets.get(..4_096).unwrap_or(octets);
            // A cut at the bound may part a character; nothing else may be wrong.
            let is_text = match std::str::from_utf8(beginning) {
                Ok(text) => !text.contains('\0'),
                Err(error) => {
                    error.error_len().is_none()
                        && octets.len() > beginning.len()
                        && !beginning.contains(&0)
                }
            };
            if is_text { "text/plain" } else { "application/octet-stream" }
        }
    }
}

/// An extension for a media type, with its dot; `.bin` for what is not known.
pub fn extension_of(media_type: &str) -> String {
    let known = TABLE.iter().find(|(_, known)| known.eq_ignore_ascii_case(media_type));
    format!(".{}", known.map_or("bin", |(extension, _)| extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_by_content() {
        for (name, octets, media_type) in [
            ("a.PNG", &b""[..], "image/png"),
            ("letter.eml", b"", "message/rfc822"),
            ("noext", b"\x89PNG\r\n\x1a\nrest", "image/png"),
            ("noext", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            ("noext", b"\0\0\0\x20ftypisom", "video/mp4"),
            ("noext", "Grüße".as_bytes(), "text/plain"),
            ("noext", b"\xfc\xfd", "application/octet-stream"),
            ("x.unknown", b"a\0b", "application/octet-stream"),
            ("", b"", "text/plain"),
        ] {
            assert_eq!(guess(name, octets), media_type, "{name}");
        }
        let long = "ü".repeat(4_000);
        assert_eq!(guess("x", &long.as_bytes()[1..]), "application/octet-stream");
        assert_eq!(guess("x", format!("a{long}").as_bytes()), "text/plain", "cut in a character");
        assert_eq!(extension_of("IMAGE/jpeg"), ".jpg");
        assert_eq!(extension_of("x/y"), ".bin");
    }
}
