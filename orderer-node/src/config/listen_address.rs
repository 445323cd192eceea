//! Where a socket listens: a host, as a number or as a name, and a port.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host and a port. Deployers give names as well as numbers (`orderer.example.com:9443`), so a name stays a name until
/// [`ListenAddress::resolve`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

/// Text that is not a host with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a host with a port, as in 0.0.0.0:7050 or orderer.example.com:9443")]
pub struct NotAnAddress;

/// Why a name cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the address of {address}: {why}")]
pub struct ResolveError {
    /// What was to be listened on.
    pub address: ListenAddress,
    /// Why not.
    pub why: String,
}

impl ListenAddress {
    /// A host, as a number without brackets or as a name, and a port; port 0 lets the system choose. No host at all means all
    /// IPv4 interfaces.
    ///
    /// # Errors
    /// The host can be neither a number nor a name.
    pub fn new(host: &str, port: u16) -> Result<Self, NotAnAddress> {
        let host = if host.is_empty() { ALL_INTERFACES } else { host };
        let is_name = || host.len() <= NAME_BYTES_MAX && host.bytes().all(is_of_a_name);
        if host.parse::<IpAddr>().is_err() && !is_name() {
            return Err(NotAnAddress);
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host as it was written.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 lets the system choose.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address to bind. Of the addresses of a name the first of IPv4 is taken, as Fabric does.
    ///
    /// # Errors
    /// The name is not known.
    pub async fn resolve(&self) -> Result<SocketAddr, ResolveError> {
        let explain = |why| ResolveError { address: self.clone(), why };
        let found: Vec<SocketAddr> = match self.host.parse::<IpAddr>() {
            Ok(number) => return Ok(SocketAddr::new(number, self.port)),
            Err(_) => tokio::net::lookup_host((self.host.as_str(), self.port))
                .await
                .map_err(|error| explain(error.to_string()))?
                .collect(),
        };
        let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
        first.copied().ok_or_else(|| explain("the name has no address".to_owned()))
    }
}

impl FromStr for ListenAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAnAddress)?;
        let port = port.parse().map_err(|_| NotAnAddress)?;
        match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(number) => {
                number.parse::<Ipv6Addr>().map_err(|_| NotAnAddress)?;
                Self::new(number, port)
            }
            // Without brackets nobody can tell where an IPv6 number ends.
            None if host.contains(':') => Err(NotAnAddress),
            None => Self::new(host, port),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

const ALL_INTERFACES: &str = "0.0.0.0";
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_missing_hosts_are_addresses() {
        for (text, host, port) in [
            ("127.0.0.1:7050", "127.0.0.1", 7050),
            ("orderer.example.com:9443", "orderer.example.com", 9443),
            ("org0_orderer-1:0", "org0_orderer-1", 0),
            (":8443", "0.0.0.0", 8443),
            ("[::1]:65535", "::1", 65535),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string().parse::<ListenAddress>().unwrap(), address);
        }
    }

    #[test]
    fn what_has_no_port_or_no_possible_host_is_refused() {
        for text in
            ["", "localhost", "7050", "localhost:", "localhost:65536", "a b:1", "::1:7050", "[::1:7050", "x/y:1"]
        {
            assert_eq!(text.parse::<ListenAddress>(), Err(NotAnAddress), "{text}");
        }
        assert!(ListenAddress::new(&"a".repeat(254), 1).is_err());
    }

    #[tokio::test]
    async fn numbers_and_known_names_resolve_and_others_are_named() {
        let number: ListenAddress = "[::1]:7".parse().unwrap();
        assert_eq!(number.resolve().await.unwrap().to_string(), "[::1]:7");
        let name: ListenAddress = "localhost:7".parse().unwrap();
        assert!(name.resolve().await.unwrap().ip().is_loopback());
        let unknown: ListenAddress = "no-such-host.invalid:7".parse().unwrap();
        let error = unknown.resolve().await.unwrap_err().to_string();
        assert!(error.starts_with("cannot find the address of no-such-host.invalid:7: "), "{error}");
    }
}
