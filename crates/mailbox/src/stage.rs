//! [`Stager`]: makes letters ready before they reach the writer: hashes them, and writes large ones
//! to synced files of their own, so that the writer never waits for a long letter.
use crate::ask::{Delivery, NewLetter, Prepared, PreparedLetter};
use crate::error::Result;
use disk::{Disk, Spool};
use std::sync::Arc;
#[derive(Debug)]
pub(crate) struct Stager {}
impl Stager {
    pub(crate) fn new(_disk: Arc<dyn Disk>, _options: &crate::Options) -> Result<Self> {
        todo!()
    }
    pub(crate) fn spool(&self) -> Spool {
        todo!()
    }
    pub(crate) async fn delivery(&self, _delivery: Delivery) -> Result<Prepared> {
        todo!()
    }
    pub(crate) async fn letters(&self, _letters: Vec<NewLetter>) -> Result<Vec<PreparedLetter>> {
        todo!()
    }
}
