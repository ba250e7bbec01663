//! Header fields: the table of names, and one file per family of values.

pub mod name;
