//! UDP in batches (recvmmsg, sendmmsg), epoll, eventfd and the file limit, behind safe types: the one module with `unsafe`.
//!
//! A received datagram is copied once, into a `Bytes` of its own size. Handing out slices of the 64 KB receive buffers without
//! a copy would keep a whole buffer alive for as long as a transaction keeps its request (32 s), so a 700 byte message would
//! cost 64 KB; the copy costs one allocation and about 75 ns (measured November 2026, 700 bytes).
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};

/// Datagrams per system call.
pub const BATCH: usize = 64;
/// Largest UDP payload, in bytes.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Room for the control messages that we ask for: drops (`u32`) and the local address (`in6_pktinfo`), with headers.
const CONTROL_BYTES: usize = 96;
/// How long a send waits for room in the socket buffer before the datagram counts as lost, in milliseconds.
const SEND_WAIT_MS: i32 = 5;

/// Receive buffer asked of the kernel, in bytes: the default drops packets at 12,000 registrations a second (measured).
pub const SIGNALLING_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A bound UDP socket, non-blocking, which counts what the kernel dropped and tells which local address a datagram came to.
pub struct BatchSocket {
    socket: UdpSocket,
    local: SocketAddr,
}

impl BatchSocket {
    /// Binds `address` and asks for buffers of `buffer_bytes`; the kernel may give less (`net.core.rmem_max`).
    pub fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // Both are requests; a smaller buffer is no reason not to serve.
        let _ = socket.set_recv_buffer_size(buffer_bytes);
        let _ = socket.set_send_buffer_size(buffer_bytes);
        let fd = socket.as_raw_fd();
        option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        if address.is_ipv6() {
            option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        } else {
            option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        }
        socket.bind(&address.into())?;
        let socket: UdpSocket = socket.into();
        let local = socket.local_addr()?;
        Ok(BatchSocket { socket, local })
    }

    /// The bound address, with the port that the kernel chose when zero was asked.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The receive buffer that the kernel granted, in bytes (Linux reports twice what it gives to payload).
    pub fn receive_buffer_bytes(&self) -> usize {
        socket2::SockRef::from(&self.socket)
            .recv_buffer_size()
            .unwrap_or(0)
    }
}

impl AsRawFd for BatchSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// One received datagram.
#[derive(Debug)]
pub struct Received {
    /// Its payload.
    pub bytes: Bytes,
    /// Who sent it.
    pub source: SocketAddr,
    /// The local address that it was sent to; the bound one when the kernel did not say.
    pub local: SocketAddr,
}

/// One datagram to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its payload.
    pub bytes: Bytes,
    /// Where it goes.
    pub to: SocketAddr,
    /// The source address to use on a socket bound to the wildcard address; unspecified lets the kernel choose.
    pub from: IpAddr,
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The buffers of recvmmsg: one per thread, used for all its sockets.
pub struct Receiver {
    headers: Box<[libc::mmsghdr]>,
    // The headers point into these three, which are never moved nor resized.
    _buffers: Box<[u8]>,
    _slices: Box<[libc::iovec]>,
    names: Box<[libc::sockaddr_storage]>,
    controls: Box<[Control]>,
}

// SAFETY: the raw pointers in `headers` and `_slices` lead only into boxes that this value owns and that move with it.
unsafe impl Send for Receiver {}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// Buffers for one batch: 4 MiB of address space, of which the kernel touches what arrives.
    pub fn new() -> Self {
        let mut buffers = vec![0u8; BATCH * DATAGRAM_BYTES_MAX].into_boxed_slice();
        // SAFETY: all-zero is a valid value of these C structures.
        let mut names: Box<[libc::sockaddr_storage]> =
            (0..BATCH).map(|_| unsafe { zeroed() }).collect();
        let mut controls: Box<[Control]> =
            (0..BATCH).map(|_| Control([0; CONTROL_BYTES])).collect();
        let mut slices: Box<[libc::iovec]> = buffers
            .chunks_exact_mut(DATAGRAM_BYTES_MAX)
            .map(|chunk| libc::iovec {
                iov_base: chunk.as_mut_ptr().cast(),
                iov_len: chunk.len(),
            })
            .collect();
        let headers = (0..BATCH)
            .map(|i| {
                // SAFETY: all-zero is a valid `mmsghdr`.
                let mut header: libc::mmsghdr = unsafe { zeroed() };
                header.msg_hdr.msg_name = (&raw mut names[i]).cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
                header.msg_hdr.msg_iov = &raw mut slices[i];
                header.msg_hdr.msg_iovlen = 1;
                header.msg_hdr.msg_control = (&raw mut controls[i].0).cast();
                header.msg_hdr.msg_controllen = CONTROL_BYTES;
                header
            })
            .collect();
        Receiver {
            headers,
            _buffers: buffers,
            _slices: slices,
            names,
            controls,
        }
    }

    /// Takes up to [`BATCH`] waiting datagrams and adds them to `out`. Gives their number and, when the kernel reported one, the
    /// running total of datagrams that it dropped on this socket. Never blocks; nothing waiting is `Ok((0, None))`.
    pub fn receive(
        &mut self,
        socket: &BatchSocket,
        out: &mut Vec<Received>,
    ) -> io::Result<(usize, Option<u32>)> {
        // SAFETY: `headers` holds BATCH valid headers whose pointers lead to live buffers of the stated lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionRefused => Ok((0, None)),
                _ => Err(error),
            };
        }
        let count = count as usize;
        let mut dropped = None;
        for i in 0..count {
            let header = &mut self.headers[i];
            let length = (header.msg_len as usize).min(DATAGRAM_BYTES_MAX);
            let start = i * DATAGRAM_BYTES_MAX;
            let payload = &self._buffers[start..start + length];
            let mut local = socket.local;
            // SAFETY: the kernel filled `msg_controllen` bytes of `controls[i]`, which outlives this loop.
            let (overflow, address) = unsafe { read_controls(&header.msg_hdr) };
            if let Some(address) = address {
                local.set_ip(address);
            }
            dropped = overflow.or(dropped);
            if let Some(source) = address_of(&self.names[i]) {
                out.push(Received {
                    bytes: Bytes::copy_from_slice(payload),
                    source,
                    local,
                });
            }
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as u32;
            header.msg_hdr.msg_controllen = CONTROL_BYTES;
            header.msg_hdr.msg_flags = 0;
        }
        debug_assert!(self.controls.len() == BATCH);
        Ok((count, dropped))
    }
}

/// Sends `items` in order on `socket`, [`BATCH`] to a system call. Each one that the kernel refused is reported to `refused` by its index
/// with the reason, and the rest still goes out. Gives the number of datagrams sent.
pub fn send(
    socket: &BatchSocket,
    items: &[Outgoing],
    mut refused: impl FnMut(usize, io::Error),
) -> usize {
    let mut sent = 0;
    for (number, chunk) in items.chunks(BATCH).enumerate() {
        let mut next = 0;
        let mut waited = false;
        while next < chunk.len() {
            let Some(rest) = chunk.get(next..) else { break };
            match send_some(socket, rest) {
                Ok(count) => {
                    sent += count;
                    next += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waited => {
                    waited = true;
                    wait_writable(socket.as_raw_fd());
                }
                Err(error) => {
                    refused(number * BATCH + next, error);
                    next += 1;
                }
            }
        }
    }
    sent
}

fn send_some(socket: &BatchSocket, items: &[Outgoing]) -> io::Result<usize> {
    // The headers of a full batch are 19 kB to be zeroed; most batches hold one or two datagrams.
    if items.len() <= 4 {
        send_up_to::<4>(socket, items)
    } else {
        send_up_to::<BATCH>(socket, items)
    }
}

fn send_up_to<const N: usize>(socket: &BatchSocket, items: &[Outgoing]) -> io::Result<usize> {
    let wildcard = socket.local.ip().is_unspecified();
    let count = items.len().min(N);
    // SAFETY: all-zero is a valid value of these C structures and byte arrays.
    let mut names: [libc::sockaddr_storage; N] = unsafe { zeroed() };
    let mut slices: [libc::iovec; N] = unsafe { zeroed() };
    let mut headers: [libc::mmsghdr; N] = unsafe { zeroed() };
    let mut controls: [Control; N] = unsafe { zeroed() };
    for (i, item) in items.iter().take(count).enumerate() {
        slices[i] = libc::iovec {
            iov_base: item.bytes.as_ptr().cast_mut().cast(),
            iov_len: item.bytes.len(),
        };
        let header = &mut headers[i].msg_hdr;
        header.msg_namelen = store_address(item.to, &mut names[i]);
        header.msg_name = (&raw mut names[i]).cast();
        header.msg_iov = &raw mut slices[i];
        header.msg_iovlen = 1;
        if wildcard && !item.from.is_unspecified() && item.from.is_ipv4() == item.to.is_ipv4() {
            header.msg_control = (&raw mut controls[i].0).cast();
            header.msg_controllen = CONTROL_BYTES;
            // SAFETY: `msg_control` leads to CONTROL_BYTES zeroed, aligned bytes, more than one pktinfo needs.
            header.msg_controllen = unsafe { write_source(header, item.from) };
        }
    }
    // SAFETY: the first `count` headers are filled and lead to memory that lives until after the call; the kernel only reads it.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(sent as usize)
}

/// Waits a moment for room in the socket buffer of `fd`.
fn wait_writable(fd: RawFd) {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut poll, 1, SEND_WAIT_MS) };
}

fn option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the value is a live `c_int` of the stated size.
    let result = unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as u32,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Reads the drop counter and the local address out of a received header.
///
/// # Safety
/// `header` must have been filled by the kernel and its control buffer be alive.
unsafe fn read_controls(header: &libc::msghdr) -> (Option<u32>, Option<IpAddr>) {
    let (mut dropped, mut address) = (None, None);
    // SAFETY: the CMSG functions stay within `msg_controllen`; payloads are read unaligned and have the size of their type.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            let data = libc::CMSG_DATA(control);
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    dropped = Some(data.cast::<u32>().read_unaligned());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    address = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(
                        info.ipi_addr.s_addr,
                    ))));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    address = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    (dropped, address)
}

/// Writes the wanted source address as the one control message of `header`; gives the length used.
///
/// # Safety
/// `header.msg_control` must lead to CONTROL_BYTES writable bytes, aligned to 8.
unsafe fn write_source(header: &libc::msghdr, from: IpAddr) -> usize {
    // SAFETY: one control message of a pktinfo fits into CONTROL_BYTES.
    unsafe {
        let control = libc::CMSG_FIRSTHDR(header);
        match from {
            IpAddr::V4(from) => {
                let mut info: libc::in_pktinfo = zeroed();
                info.ipi_spec_dst.s_addr = u32::from(from).to_be();
                (*control).cmsg_level = libc::IPPROTO_IP;
                (*control).cmsg_type = libc::IP_PKTINFO;
                (*control).cmsg_len = libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) as _;
                libc::CMSG_DATA(control)
                    .cast::<libc::in_pktinfo>()
                    .write_unaligned(info);
                libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as u32) as usize
            }
            IpAddr::V6(from) => {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = from.octets();
                (*control).cmsg_level = libc::IPPROTO_IPV6;
                (*control).cmsg_type = libc::IPV6_PKTINFO;
                (*control).cmsg_len = libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as u32) as _;
                libc::CMSG_DATA(control)
                    .cast::<libc::in6_pktinfo>()
                    .write_unaligned(info);
                libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) as usize
            }
        }
    }
}

fn address_of(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel says that this storage holds a `sockaddr_in`, which is smaller and no more strictly aligned.
            let v4 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, a `sockaddr_in6`.
            let v6 = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

fn store_address(address: SocketAddr, name: &mut libc::sockaddr_storage) -> u32 {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: `sockaddr_storage` is large and aligned enough for every socket address.
            let to = unsafe { &mut *(&raw mut *name).cast::<libc::sockaddr_in>() };
            to.sin_family = libc::AF_INET as u16;
            to.sin_port = v4.port().to_be();
            to.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
            size_of::<libc::sockaddr_in>() as u32
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let to = unsafe { &mut *(&raw mut *name).cast::<libc::sockaddr_in6>() };
            to.sin6_family = libc::AF_INET6 as u16;
            to.sin6_port = v6.port().to_be();
            to.sin6_addr.s6_addr = v6.ip().octets();
            to.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>() as u32
        }
    }
}

/// An epoll instance, level-triggered, for reading only. The caller keeps every added descriptor open until it removed it.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    /// A new instance that tells of up to `capacity` ready descriptors at a time.
    pub fn new(capacity: usize) -> io::Result<Self> {
        // SAFETY: a plain call; the result is checked before it is owned.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and ours alone.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poller {
            epoll,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)],
        })
    }

    /// Watches `source` for readability under `token`.
    pub fn add(&self, source: &impl AsRawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: token,
        };
        self.control(libc::EPOLL_CTL_ADD, source.as_raw_fd(), &raw mut event)
    }

    /// Watches `source` no longer.
    pub fn remove(&self, source: &impl AsRawFd) -> io::Result<()> {
        self.control(
            libc::EPOLL_CTL_DEL,
            source.as_raw_fd(),
            std::ptr::null_mut(),
        )
    }

    fn control(&self, what: i32, fd: RawFd, event: *mut libc::epoll_event) -> io::Result<()> {
        // SAFETY: `event` is null for DEL or leads to a live event for ADD.
        if unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), what, fd, event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Waits until something is readable or `timeout` is over (rounded up to a millisecond; `None` waits for ever) and adds the
    /// ready tokens to `ready`. A signal ends the wait early.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<u64>) -> io::Result<()> {
        let millis = match timeout {
            None => -1,
            Some(timeout) => {
                i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
            }
        };
        // SAFETY: `events` has room for the stated number of events.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                i32::try_from(self.events.len()).unwrap_or(i32::MAX),
                millis,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            };
        }
        ready.extend(
            self.events
                .iter()
                .take(count as usize)
                .map(|event| event.u64),
        );
        Ok(())
    }
}

/// An eventfd: wakes a [`Poller`] from another thread.
pub struct Waker {
    event: OwnedFd,
    /// Somebody has written, or is about to, and nobody has taken it back: further writes would only cost a system call each.
    rung: AtomicBool,
}

impl Waker {
    /// A new one; add it to a poller.
    pub fn new() -> io::Result<Self> {
        // SAFETY: a plain call; the result is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and ours alone.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Waker {
            event,
            rung: AtomicBool::new(false),
        })
    }

    /// Makes the poller's wait return. Calls before it does so count as one.
    pub fn wake(&self) {
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        let one = 1u64;
        // SAFETY: eight live bytes. The only failure is a full counter, which is awake anyway.
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Takes the wake-ups back; the polling thread calls it before it looks into its queue.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight live bytes. An empty counter fails harmlessly.
        unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), 8) };
        // After the read: a wake-up in between is not written, but what it announces is in the queue that is looked into next.
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

/// Makes the calling thread give way to all others of this priority: for work that nobody waits for. On a busy machine the writer of
/// the tables would otherwise keep a core for milliseconds while calls wait.
pub fn give_way() {
    /// Added to the niceness: a tenth of the share of a thread of the usual one.
    const NICER: i32 = 10;
    // SAFETY: a plain call about the calling thread (on Linux a niceness is the thread's own); a refusal changes nothing.
    unsafe { libc::nice(NICER) };
}

/// Raises the soft limit of open files to the hard one; gives the limit that holds afterwards.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: one live rlimit, in both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 {
            return Err(io::Error::last_os_error());
        }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) < 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
