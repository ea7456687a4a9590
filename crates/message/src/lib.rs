//! What is inside a letter.
