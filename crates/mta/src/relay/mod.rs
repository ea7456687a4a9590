//! Letters on their way to other systems.

pub(crate) mod backoff;
pub(crate) mod hosts;
pub(crate) mod route;
