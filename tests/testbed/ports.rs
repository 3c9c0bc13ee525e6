//! Ports that are free and stay free until their server has started, and while it is down in between.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// Below the range from which the kernel takes the ports of outgoing connections (32768 and up), which could else take
/// a port between our look and the server's bind.
const LOWEST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A free port on loopback. None is given out twice by one process; another process starts elsewhere in the range.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static START: std::sync::LazyLock<u64> = std::sync::LazyLock::new(|| RandomState::new().hash_one(0));
    for _ in 0..COUNT {
        let step = u64::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((*START % u64::from(COUNT) + step) % u64::from(COUNT))?;
        let port = LOWEST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {LOWEST} to {}", LOWEST + COUNT)
}
