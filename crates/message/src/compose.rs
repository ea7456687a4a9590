//! Builds letters.
