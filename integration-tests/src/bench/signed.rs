//! A sender whose letters can be checked: a name server with the records of SPF, DKIM and DMARC,
//! and a letter with a signature that stands (RFC 6376, rsa-sha256, made with openssl). The
//! answers may be kept, so that what is measured is the checking.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::letters::letter;
use super::load::base64;
use crate::{NameServer, Zone};

/// Whose letters.
const DOMAIN: &str = "sender.test";
/// How long answers may be kept.
const TTL: u32 = 3600;

/// A sender's world.
pub struct Signed {
    /// Who tells about the sender.
    pub dns: NameServer,
    /// A letter of the sender.
    pub letter: Vec<u8>,
}

impl Signed {
    /// A world with a letter of about `size` octets.
    ///
    /// # Errors
    ///
    /// openssl is not here, or refuses.
    pub fn make(size: usize) -> Result<Signed, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let key = folder.path().join("key.pem");
        openssl(&["genrsa", "-out", path(&key)?, "2048"], b"")?;
        let public = openssl(&["rsa", "-in", path(&key)?, "-pubout", "-outform", "DER"], b"")?;
        let record = format!("v=DKIM1; k=rsa; p={}", base64(&public));
        let zone = Zone::new()
            .kept(TTL)
            .txt(DOMAIN, "v=spf1 ip4:127.0.0.0/8 -all")
            .txt(&format!("_dmarc.{DOMAIN}"), "v=DMARC1; p=reject")
            .txt_long(&format!("bench._domainkey.{DOMAIN}"), &record);
        Ok(Signed { dns: NameServer::start(zone), letter: sign(size, path(&key)?)? })
    }
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| "a folder without a name".to_owned())
}

/// RFC 6376 §3.4.1 and §3.4.3: simple canonicalization leaves everything as it is.
fn sign(size: usize, key: &str) -> Result<Vec<u8>, String> {
    let made = letter(7, size);
    let made = String::from_utf8(made).map_err(|error| error.to_string())?;
    let (_, body) = made.split_once("\r\n\r\n").ok_or("a letter without a body")?;
    let from = format!("From: Load <load@{DOMAIN}>\r\n");
    let subject = "Subject: a letter with a signature\r\n";
    let date = "Date: 5 Jan 2026 10:00:00 +0000\r\n";
    let hash = openssl(&["dgst", "-sha256", "-binary"], body.as_bytes())?;
    let begun = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d={DOMAIN}; s=bench;\r\n\
         \th=From:Subject:Date; bh={};\r\n\tb=",
        base64(&hash)
    );
    let signed = format!("{from}{subject}{date}{begun}");
    let signature = openssl(&["dgst", "-sha256", "-sign", key], signed.as_bytes())?;
    let header = format!(
        "{begun}{}\r\n{from}To: Box <box@bench.test>\r\n{subject}{date}\
         Message-ID: <signed@{DOMAIN}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n",
        base64(&signature)
    );
    Ok(format!("{header}\r\n{body}").into_bytes())
}

fn openssl(words: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut command = Command::new("openssl");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| format!("openssl: {error}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).map_err(failed)?;
    }
    let said = child.wait_with_output().map_err(failed)?;
    match said.status.success() {
        true => Ok(said.stdout),
        false => Err(format!("openssl: {}", String::from_utf8_lossy(&said.stderr).trim())),
    }
}
