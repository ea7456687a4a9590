//! What an SMTP or LMTP server offers in its answer to EHLO or LHLO: printed by our server, read
//! by our client. Not the policy of what to offer, which is the server machine's configuration.

use crate::reply::Reply;

/// The extensions of a server that we know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// PIPELINING, RFC 2920.
    pub pipelining: bool,
    /// SIZE, RFC 1870.
    pub size: SizeOffer,
    /// 8BITMIME, RFC 6152.
    pub eight_bit_mime: bool,
    /// SMTPUTF8, RFC 6531.
    pub smtputf8: bool,
    /// ENHANCEDSTATUSCODES, RFC 2034.
    pub enhanced_status_codes: bool,
    /// CHUNKING, RFC 3030.
    pub chunking: bool,
    /// STARTTLS, RFC 3207.
    pub starttls: bool,
    /// DSN, RFC 3461.
    pub dsn: bool,
    /// REQUIRETLS, RFC 8689.
    pub requiretls: bool,
    /// FUTURERELEASE, RFC 4865: the longest wait in seconds.
    pub future_release: Option<u64>,
    /// XRECALL: what waits can be taken back by who submitted it. Ours.
    pub recall: bool,
    /// XPOSTHASTE: the private parameters of our own inner hops.
    pub xposthaste: bool,
    /// The mechanisms of AUTH, RFC 4954, in upper case; empty: no AUTH.
    pub auth: Vec<String>,
}

/// The SIZE extension as offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SizeOffer {
    /// Not at all.
    #[default]
    Absent,
    /// Without a number, or with 0: no fixed limit.
    Unlimited,
    /// At most so many octets.
    Limit(u64),
}

impl Capabilities {
    /// Reads the lines after the first one of an answer to EHLO or LHLO.
    pub fn from_reply(reply: &Reply) -> Self {
        let mut capabilities = Capabilities::default();
        for line in reply.lines().skip(1) {
            capabilities.read_line(line);
        }
        capabilities
    }

    fn read_line(&mut self, line: &str) {
        // Some servers of the last century write "AUTH=LOGIN"; the mechanisms are the same.
        let (keyword, rest) = line.trim().split_once([' ', '=']).unwrap_or((line.trim(), ""));
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "CHUNKING" => self.chunking = true,
            "STARTTLS" => self.starttls = true,
            "DSN" => self.dsn = true,
            "REQUIRETLS" => self.requiretls = true,
            // RFC 4865 §4: the longest interval, then the latest time. A server may name neither.
            "FUTURERELEASE" => {
                let longest = rest.split_ascii_whitespace().next();
                self.future_release =
                    Some(longest.and_then(|n| n.parse().ok()).unwrap_or(u64::MAX));
            }
            "XRECALL" => self.recall = true,
            "XPOSTHASTE" => self.xposthaste = true,
            "SIZE" => {
                self.size = match rest.trim().parse() {
                    Ok(limit) if limit > 0 => SizeOffer::Limit(limit),
                    _ => SizeOffer::Unlimited,
                }
            }
            "AUTH" => {
                for mechanism in rest.split_ascii_whitespace() {
                    let mechanism = mechanism.to_ascii_uppercase();
                    if !self.auth.contains(&mechanism) {
                        self.auth.push(mechanism);
                    }
                }
            }
            _ => {}
        }
    }

    /// The keyword lines, each after a `\n`, as the text of our own EHLO reply needs them.
    pub(crate) fn print(&self, text: &mut String) {
        let mut line = |keyword: &str| {
            text.push('\n');
            text.push_str(keyword);
        };
        match self.size {
            SizeOffer::Absent => {}
            SizeOffer::Unlimited => line("SIZE"),
            SizeOffer::Limit(limit) => line(&format!("SIZE {limit}")),
        }
        for (offered, keyword) in [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.chunking, "CHUNKING"),
            (self.dsn, "DSN"),
            (self.starttls, "STARTTLS"),
            (self.requiretls, "REQUIRETLS"),
            (self.recall, "XRECALL"),
            (self.xposthaste, "XPOSTHASTE"),
        ] {
            if offered {
                line(keyword);
            }
        }
        if let Some(longest) = self.future_release {
            line(&format!("FUTURERELEASE {longest}"));
        }
        if !self.auth.is_empty() {
            line(&format!("AUTH {}", self.auth.join(" ")));
        }
    }

    /// A letter of `size` octets is over the offered limit.
    pub fn refuses_size(&self, size: u64) -> bool {
        matches!(self.size, SizeOffer::Limit(limit) if size > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::ReplyCode;

    #[test]
    fn read_back_as_printed() {
        let all = Capabilities {
            pipelining: true,
            size: SizeOffer::Limit(1000),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            chunking: true,
            starttls: true,
            dsn: true,
            requiretls: true,
            future_release: Some(86_400),
            recall: true,
            xposthaste: true,
            auth: vec!["PLAIN".into(), "SCRAM-SHA-256".into()],
        };
        let mut text = String::from("mx.test");
        all.print(&mut text);
        assert_eq!(Capabilities::from_reply(&Reply::plain(ReplyCode::OK, text)), all);
    }

    #[test]
    fn odd_servers() {
        let text = "mx.test\nsize 0\nAUTH=LOGIN plain\nauth LOGIN\nX-THING\n";
        let read = Capabilities::from_reply(&Reply::plain(ReplyCode::OK, text));
        assert_eq!(read.size, SizeOffer::Unlimited);
        assert_eq!(read.auth, ["LOGIN", "PLAIN"]);
        assert!(!read.pipelining && !read.refuses_size(u64::MAX));
    }
}
