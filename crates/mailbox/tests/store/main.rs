//! The store from outside: what sessions see, what files hold, what survives. On a disk in memory
//! that loses whatever was not synced.

mod crash;
mod everyday;
mod foreign;
mod kept;
mod many;
mod model;
mod names;
mod support;
