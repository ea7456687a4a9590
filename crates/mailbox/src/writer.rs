//! The one writer.
use crate::ask::*;
use crate::error::Result;
use crate::ids::AccountId;
use disk::*;
use std::sync::Arc;
/// The writer of all mailboxes.
#[derive(Debug)]
pub struct Writer {}
#[derive(Debug)]
pub(crate) struct Accounts {}
impl Accounts {
    pub(crate) fn get(&self, _account: &AccountId) -> Option<Arc<AccountView>> {
        todo!()
    }
}
impl Writer {
    pub(crate) fn open(_disk: Arc<dyn Disk>, _options: &crate::Options) -> Result<Self> {
        todo!()
    }
    pub(crate) fn accounts_view(&self) -> Arc<Accounts> {
        todo!()
    }
}
#[allow(private_interfaces)]
impl Store for Writer {
    type Request = Request;
    type Staged = ();
    type Answer = Answer;
    fn replay(&mut self, _record: &Record<'_>) -> disk::Result<()> {
        todo!()
    }
    fn stage(&mut self, _request: Request, _log: &mut Appender<'_>) -> disk::Result<Stage<Self>> {
        todo!()
    }
    fn publish(&mut self, _staged: ()) -> Answer {
        todo!()
    }
    fn abandon(&mut self, _staged: ()) {
        todo!()
    }
    fn lay_out(&mut self, _items: usize) -> disk::Result<LaidOut> {
        todo!()
    }
    fn checkpointed(&mut self) {
        todo!()
    }
}
