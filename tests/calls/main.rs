//! Whole calls as ladders on virtual time: scripted phones, the shipped core between them, every message as a snapshot.
//! Read these first: they show what the server says to whom, and when.

mod agents;
mod basic;
mod bench;
mod callbacks;
mod devices;
mod dialogs;
mod early;
mod edges;
mod fetch;
mod gates;
mod guarded;
mod held;
mod hours;
mod identity;
mod pages;
mod parties;
mod queues;
mod raw;
mod refreshing;
mod reliable;
mod session_timer;
mod stage;
mod toggles;
mod transfer;
mod transferred;
mod trunks;
mod update;
mod watch_bench;
mod watching;
