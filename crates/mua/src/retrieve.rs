//! Letters that came: folders, lists, search, reading, saving, moving, marks, and waiting for new
//! ones. Everything over an [`Imap`](crate::session::imap::Imap) session.

pub mod change;
pub mod folders;
pub mod list;
pub mod query;
pub mod read;
pub mod save;
pub mod search;
pub mod watch;
