//! Ports for test networks.
//!
//! Taken from below the range out of which the system gives ports to outgoing connections: a node that is killed must
//! find its port free when it comes back, however many connections are made meanwhile.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::bail;

/// So many ports of loopback in a row on which nobody listens, and which no other test of this process is given.
///
/// # Errors
/// There are none.
pub fn free_ports(count: u16) -> anyhow::Result<u16> {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    // Test programs that run at the same time start at different places.
    let mut first = next.unwrap_or(LOWEST + (std::process::id() % STARTS) as u16 * STRIDE);
    for _ in 0..ATTEMPTS {
        if first + count >= HIGHEST {
            first = LOWEST;
        }
        if (first..first + count).all(is_free) {
            *next = Some(first + count);
            return Ok(first);
        }
        first += count;
    }
    bail!("no {count} free ports in a row between {LOWEST} and {HIGHEST}")
}

/// Does nobody listen on this port of loopback?
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

const LOWEST: u16 = 20_000;
const HIGHEST: u16 = 32_000;
const STRIDE: u16 = 40;
const STARTS: u32 = 250;
const ATTEMPTS: usize = 2000;
