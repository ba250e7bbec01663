//! Whole calls as ladders on virtual time: scripted phones, the shipped core between them, every message as a snapshot.
//! Read these first: they show what the server says to whom, and when.

mod basic;
mod devices;
mod edges;
mod fetch;
mod pages;
mod parties;
mod queues;
mod raw;
mod stage;
mod transfer;
mod trunks;
mod watch_bench;
mod watching;
