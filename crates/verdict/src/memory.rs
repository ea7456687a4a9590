//! DNS held in memory, for the tests of this crate.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::lookup::{Answered, Asking, Cause, Kind, Records, Source};

/// Names and what they have.
#[derive(Clone, Default)]
pub(crate) struct Zone {
    records: HashMap<(Kind, String), Records>,
    silent: Vec<String>,
}

impl Zone {
    /// A text record.
    pub(crate) fn txt(&mut self, name: &str, text: &str) {
        let texts = Records::Txt(vec![text.as_bytes().to_vec()]);
        self.records.insert((Kind::Txt, name.to_owned()), texts);
    }

    /// An address, and its name.
    pub(crate) fn address(&mut self, name: &str, ip: IpAddr) {
        let kind = if ip.is_ipv4() { Kind::A } else { Kind::Aaaa };
        self.records.insert((kind, name.to_owned()), Records::Addresses(vec![ip]));
        let names = Records::Names(vec![name.to_owned()]);
        self.records.insert((Kind::Ptr, ip.to_string()), names);
    }

    /// A name about which nobody answers.
    pub(crate) fn silent(&mut self, name: &str) {
        self.silent.push(name.to_owned());
    }
}

impl Source for Zone {
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a> {
        let answer: Answered = match self.records.get(&(kind, name.to_owned())) {
            _ if self.silent.iter().any(|silent| silent == name) => Err(Cause::Timeout),
            Some(records) => Ok(Arc::new(records.clone())),
            None if self.records.keys().any(|(_, known)| known == name) => Err(Cause::NoData),
            None => Err(Cause::NoSuchName),
        };
        Box::pin(std::future::ready((answer, Duration::from_secs(60))))
    }
}
