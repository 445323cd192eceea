//! What the configuration says about the services around ordering: administration, operations, metrics, and the bounds of
//! gRPC. Plain data; the defaults are Fabric's (contract 7.1).

use std::time::Duration;

/// How requests of clients are authenticated.
pub use frontend_shim::authentication::Authentication;

use super::{ListenAddress, TlsFiles};

/// A listener for HTTP: administration (contract section 5) or operations (section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpListener {
    /// Where it listens.
    pub address: ListenAddress,
    /// Its TLS; plain HTTP without.
    pub tls: Option<TlsFiles>,
}

/// Who gets the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetricsProvider {
    /// Nobody.
    #[default]
    Disabled,
    /// Whoever asks the operations listener for `/metrics`.
    Prometheus,
    /// A statsd server.
    Statsd(Statsd),
}

/// A statsd server and what is sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statsd {
    /// How it is reached.
    pub network: StatsdNetwork,
    /// Where it is: host and port.
    pub address: ListenAddress,
    /// Time between two reports.
    pub write_interval: Duration,
    /// What every name begins with; may be empty.
    pub prefix: String,
}

/// The transport of statsd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsdNetwork {
    /// One datagram per report.
    Udp,
    /// One connection.
    Tcp,
}

/// The channel participation API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participation {
    /// Whether it serves; if not, every call is answered with 503.
    pub enabled: bool,
    /// Bytes in the body of one request.
    pub max_request_body_size: usize,
}

impl Default for Participation {
    fn default() -> Self {
        Self { enabled: true, max_request_body_size: 1 << 20 }
    }
}

/// Bounds of the gRPC listener (contract 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcLimits {
    /// Bytes in one message from a client.
    pub max_recv_message_size: usize,
    /// Bytes in one message to a client.
    pub max_send_message_size: usize,
    /// Time in which a connection must have finished its handshake.
    pub connection_timeout: Duration,
    /// Pings.
    pub keepalive: Keepalive,
}

impl Default for GrpcLimits {
    fn default() -> Self {
        Self {
            max_recv_message_size: 100 << 20,
            max_send_message_size: 100 << 20,
            connection_timeout: Duration::from_secs(5),
            keepalive: Keepalive::default(),
        }
    }
}

/// Pings of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle time after which we ping.
    pub server_interval: Duration,
    /// How long we wait for the answer.
    pub server_timeout: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { server_interval: Duration::from_secs(2 * 60 * 60), server_timeout: Duration::from_secs(20) }
    }
}

/// Bounds on how fast authenticated clients may send envelopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// Envelopes per second of all clients together; 0 is no bound.
    pub rate: u32,
    /// Idle time after which a client no longer has a share of the rate.
    pub inactivity_timeout: Duration,
}

impl Default for Throttling {
    fn default() -> Self {
        Self { rate: 0, inactivity_timeout: Duration::from_secs(5) }
    }
}

/// How long before a certificate ends its end is warned of.
pub(crate) const CERTIFICATE_EXPIRY_WARNING: Duration = Duration::from_secs(7 * 24 * 60 * 60);
