//! How foreign text is shown: without anything that a terminal would obey, in columns that fit,
//! HTML as text, times where the reader lives.

pub mod html;
pub mod local_time;
pub mod safe;
pub mod table;
pub mod width;
