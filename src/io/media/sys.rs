//! The two socket calls that neither std nor socket2 offer. The second and last file with `unsafe`, by the reasoning of `io/batch.rs`:
//! a system call with a pointer to a live local, checked where it is made, behind a safe function.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Ends the connection of a UDP socket, so that it takes datagrams from everybody again; its own address stays.
pub fn dissolve(socket: &UdpSocket) -> io::Result<()> {
    let address = libc::sockaddr {
        sa_family: libc::AF_UNSPEC as libc::sa_family_t,
        sa_data: [0; 14],
    };
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: `address` is live and `length` long; the descriptor is open while `socket` is borrowed.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const address, length) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Datagrams that the kernel dropped on this socket since it was made, because its receive buffer was full. The same counter as
/// `SO_RXQ_OVFL` tells with each datagram, asked for when wanted and so without a price for each packet.
pub fn overflow_drops(socket: &UdpSocket) -> u64 {
    /// Place of the drops among the values of `SO_MEMINFO` (linux/sock_diag.h: SK_MEMINFO_DROPS).
    const DROPS: usize = 8;
    let mut values = [0u32; 9];
    let mut length = size_of_val(&values) as libc::socklen_t;
    // SAFETY: `values` is live and `length` bytes long; the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result < 0 {
        return 0;
    }
    u64::from(values[DROPS])
}
