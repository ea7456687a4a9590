//! ENABLE (RFC 5161), what it turns on, and COMPRESS (RFC 4978). What each thing changes is in the
//! files of the commands it concerns.

use protocol::imap::{Code, Condition, StatusText, Untagged};

use super::failure::Failure;
use super::session::Session;

/// What the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Enabled {
    /// CONDSTORE (RFC 7162 §3.1): MODSEQ in every FETCH response that nobody asked for.
    pub(super) condstore: bool,
    /// QRESYNC (RFC 7162 §3.2): VANISHED instead of EXPUNGE.
    pub(super) qresync: bool,
    /// IMAP4rev2 (RFC 9051): ESEARCH for SEARCH, nothing is recent, names in UTF-8.
    pub(super) rev2: bool,
    /// UTF8=ACCEPT (RFC 6855): names in UTF-8.
    pub(super) utf8: bool,
}

impl Session {
    /// ENABLE. RFC 5161 §3.1: what cannot be enabled is left out.
    pub(super) fn enable(&mut self, names: &[String]) -> StatusText {
        let mut enabled = Vec::new();
        for name in names {
            match name.as_str() {
                "CONDSTORE" => self.enable_condstore(),
                "QRESYNC" => {
                    // RFC 7162 §3.2.3: QRESYNC includes CONDSTORE.
                    self.enable_condstore();
                    self.enabled.qresync = true;
                }
                "IMAP4REV2" => self.enabled.rev2 = true,
                "UTF8=ACCEPT" => self.enabled.utf8 = true,
                _ => continue,
            }
            if !enabled.contains(name) {
                enabled.push(name.clone());
            }
        }
        if self.enabled.rev2 || self.enabled.utf8 {
            self.machine().use_utf8_names();
        }
        self.machine().untagged(&Untagged::Enabled(enabled));
        StatusText::default()
    }

    /// RFC 7162 §3.1: any use of modification sequences enables them; from then on the client must
    /// know where it stands.
    pub(super) fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.enabled.condstore, true) {
            return;
        }
        if let Some(selected) = &self.selected {
            let code = Code::HighestModSeq(selected.view.highest_modseq());
            let text = StatusText::with(code, "highest modification sequence");
            self.machine().untagged(&Untagged::Status(Condition::Ok, text));
        }
    }

    /// RFC 7162 §3.2.7: EXPUNGE tells where the mailbox stands, after all that came before it.
    pub(super) fn with_mod_seq(&self, text: StatusText) -> StatusText {
        match &self.selected {
            Some(selected) if self.enabled.condstore && text.code.is_none() => {
                let code = Code::HighestModSeq(selected.view.highest_modseq());
                StatusText { code: Some(code), text: text.text }
            }
            _ => text,
        }
    }

    /// COMPRESS DEFLATE: the answer goes out as it is, everything after it compressed.
    pub(super) async fn compress(&mut self) {
        if self.compressed {
            let code = Code::Other { name: "COMPRESSIONACTIVE".to_owned(), arguments: None };
            let text = StatusText::with(code, "compression is on already");
            return self.finish("COMPRESS", Err(Failure::No(text)));
        }
        self.finish("COMPRESS", Ok(StatusText::new("compressed from here on")));
        self.driver.compress().await;
        self.compressed = true;
        let now = self.shared.clock.tick();
        self.machine().compression_established(now);
    }
}
