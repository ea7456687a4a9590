//! The extensions there are, by the names that `require`, `ihave` and ManageSieve's SIEVE
//! capability use.

/// Each extension that is whole.
pub const EXTENSIONS: &[&str] = &[
    "body",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "comparator-i;octet",
    "copy",
    "date",
    "duplicate",
    "editheader",
    "enclose",
    "encoded-character",
    "enotify",
    "envelope",
    "environment",
    "ereject",
    "extracttext",
    "fcc",
    "fileinto",
    "foreverypart",
    "ihave",
    "imap4flags",
    "include",
    "index",
    "mailbox",
    "mime",
    "regex",
    "reject",
    "relational",
    "replace",
    "spamtest",
    "spamtestplus",
    "special-use",
    "subaddress",
    "vacation",
    "vacation-seconds",
    "variables",
    "virustest",
];

/// What a required extension brings with it.
pub(super) fn implied(extension: &str) -> &'static [&'static str] {
    match extension {
        // RFC 6131 §2: with vacation-seconds, vacation need not be required.
        "vacation-seconds" => &["vacation"],
        // RFC 5235 §2.1: likewise.
        "spamtestplus" => &["spamtest"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_names_nothing_twice() {
        assert!(EXTENSIONS.is_sorted_by(|a, b| a < b));
        for extension in EXTENSIONS {
            assert!(implied(extension).iter().all(|more| EXTENSIONS.contains(more)));
        }
    }
}
