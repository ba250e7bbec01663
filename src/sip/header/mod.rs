//! Header fields: the table of names, and one file per family of values.

pub mod name;

pub mod auth;
pub mod contact;
pub mod cseq;
pub mod lists;
pub mod name_addr;
pub mod params;
pub mod reason;
pub mod refer;
pub mod reliable;
pub mod session_timer;
pub mod uri;
pub mod via;
