//! Everything that is stored passes through here: a disk, real or faulty, behind one trait; the
//! intake log in which letters become durable; the batch loop that both stores share.
//!
//! This crate is the only caller of fsync and its kin (sled apart). It knows no protocol and no
//! meaning of what it stores, except that letters have journeys. Called by `queue`, `mailbox`,
//! `directory`, `service` and the agents.

pub mod commit;
pub mod custody;
pub mod faulty;
pub mod limits;
pub mod log;
pub mod text;

mod body;
mod disk;
mod error;
mod files;
mod real;
mod space;

pub use body::{Body, Chunks, Spool};
pub use commit::{
    CommitOptions, Committer, GroupCommit, LaidOut, Settled, Stage, Step, Store, Submitter, Ticket,
    Trouble, Troubles,
};
pub use disk::{
    Access, Disk, DiskFile, Entry, FileSystem, FileType, Lock, Metadata, Mode, Result, Space,
};
pub use error::{Error, ErrorKind};
pub use faulty::FaultyDisk;
pub use files::{read_whole, replace_whole, write_again};
pub use log::{Appender, Crc32c, LogOptions, Record, Recovery, Sequence, read_log};
pub use real::RealDisk;
pub use space::SpaceWatch;
