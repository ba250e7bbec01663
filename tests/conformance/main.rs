//! What the RFCs' torture lists, an independent parser and our own writer say about the parser.

mod codecs;
mod differential;
mod ipv6;
mod torture;
mod torture_valid;
mod transactions;
mod verdict;
