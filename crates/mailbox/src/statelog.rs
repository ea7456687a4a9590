//! Reading and appending state logs.
