//! Who exists, and how they prove it.
