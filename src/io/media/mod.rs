//! The media workers: plain threads that own the sockets of their streams and run the packet half of `media`.
//!
//! Goes in: [`MediaCommand`]s. Comes out: RTP and RTCP, and [`MediaEvent`]s. Each stream has a socket for RTP and one for RTCP;
//! each worker waits in one level-triggered epoll, receives one datagram for each report and sends it on: system calls cost a tenth
//! of what the kernel does per packet, so that batching sockets of single legs gains nothing. Once the source of a stream is certain
//! its socket is connected, and the kernel turns strangers away. The relay path allocates nothing.
//! The workers decide nothing: what a packet becomes is said by `media::stream`.

mod library;
mod resting;
mod socket;
mod sys;
mod worker;

pub use library::{PromptError, PromptStore};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::io::batch::Waker;
use crate::media::{MediaCommand, MediaEvent, StreamId};
use worker::Worker;

struct Link {
    commands: Option<Sender<MediaCommand>>,
    waker: Arc<Waker>,
    /// Commands were queued since it was woken.
    told: AtomicBool,
    thread: Option<JoinHandle<()>>,
}

/// All media workers. Dropping it closes their sockets and ends their threads.
pub struct Workers {
    links: Vec<Link>,
}

impl Workers {
    /// Starts `count` workers (at least one). `events` is called from their threads and must not block.
    ///
    /// # Errors
    /// When threads or descriptors run out.
    pub fn start(
        count: usize,
        prompts: Arc<PromptStore>,
        events: impl Fn(MediaEvent) + Send + Clone + 'static,
    ) -> std::io::Result<Workers> {
        let mut workers = Workers { links: Vec::new() };
        for index in 0..count.max(1) {
            let waker = Arc::new(Waker::new()?);
            let (commands, queue) = channel();
            let worker = Worker::new(queue, waker.clone(), prompts.clone(), events.clone())?;
            let thread = std::thread::Builder::new()
                .name(format!("media-{index}"))
                .spawn(move || worker.run())?;
            workers.links.push(Link {
                commands: Some(commands),
                waker,
                told: AtomicBool::new(false),
                thread: Some(thread),
            });
        }
        // the first caller must not wait for a decoder on the thread that paces everybody's packets
        std::thread::Builder::new()
            .name("media-prompts".into())
            .spawn(move || prompts.warm())?;
        Ok(workers)
    }

    /// Number of workers: `StreamId::worker()` is below it.
    pub fn count(&self) -> u16 {
        self.links.len() as u16
    }

    /// Hands a command to the worker of its stream. Never blocks.
    pub fn send(&self, command: MediaCommand) {
        self.queue(command);
        self.ring();
    }

    /// The same for several commands: their workers look when [`Workers::ring`] is called. Nobody waits for the end of a stream: a
    /// `Close` alone wakes nobody, its worker meets it when it is awake the next time, at most a quarter of a second later.
    pub fn queue(&self, command: MediaCommand) {
        let urgent = !matches!(command, MediaCommand::Close { .. });
        let index = usize::from(worker_of(command.stream(), self.links.len()));
        if let Some(link) = self.links.get(index)
            && let Some(commands) = &link.commands
            && commands.send(command).is_ok()
            && urgent
        {
            link.told.store(true, Ordering::Relaxed);
        }
    }

    /// Wakes the workers that have been told something since the last time.
    pub fn ring(&self) {
        for link in &self.links {
            if link.told.swap(false, Ordering::Relaxed) {
                link.waker.wake();
            }
        }
    }
}

/// Identifiers that name a worker beyond the last (written down by a process that had more) are folded.
fn worker_of(stream: StreamId, count: usize) -> u16 {
    stream.worker() % (count.max(1) as u16)
}

impl Drop for Workers {
    fn drop(&mut self) {
        for link in &mut self.links {
            link.commands = None;
            link.waker.wake();
        }
        for link in &mut self.links {
            if let Some(thread) = link.thread.take() {
                // a worker that panicked has said so already
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod mix_tests;
#[cfg(test)]
mod tests;
