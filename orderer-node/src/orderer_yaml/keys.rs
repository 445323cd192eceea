//! The keys of `orderer.yaml`: which there are, which this node reads, and why the others mean nothing to it.
//!
//! Names and meanings are Fabric's (contract 7.1), of v3 and what v1.4 to v2.5 had besides; `BFT` is our own section.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What a key means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is read.
    Read,
    /// It is known and means nothing; neither does anything below it.
    Ignored(Reason),
}

/// Why a known key means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Pinned,
    Transport,
    Raft,
    Go,
    Old,
    Hardware,
    Lenient,
}

impl Reason {
    /// The end of a sentence that begins with the keys.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Pinned => "not needed: nodes know each other by the certificates in the channel configuration",
            Self::Transport => "not needed: they tune the cluster transport of Fabric, which is not used",
            Self::Raft => "not needed: they belong to Raft",
            Self::Go => "not served: they switch on tools of Fabric's Go programs",
            Self::Old => "left over from older versions of Fabric",
            Self::Hardware => "not needed: the keys of this node are in files",
            Self::Lenient => "not needed: clients may ping as often as they like",
        }
    }
}

/// A place in the tree of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A key with a value.
    Key(&'static str),
    /// A section: a prefix of keys.
    Section(&'static str),
    /// Something that means nothing.
    Ignored(Reason),
}

/// What stands under this name in a section (`""` for the whole file), whatever the case of the name.
pub(super) fn within(section: &str, name: &str) -> Option<Place> {
    let path = join(section, name);
    let same = |known: &str| known.eq_ignore_ascii_case(&path);
    if let Some(&(key, meaning)) = KEYS.iter().find(|(key, _)| same(key)) {
        return Some(match meaning {
            Use::Read => Place::Key(key),
            Use::Ignored(reason) => Place::Ignored(reason),
        });
    }
    if let Some(section) = SECTIONS.iter().find(|known| same(known)) {
        return Some(Place::Section(section));
    }
    // What a consensus plugin wants to know stands here without a scheme.
    section.eq_ignore_ascii_case("Consensus").then_some(Place::Ignored(Reason::Raft))
}

/// The names that may stand in a section.
pub(super) fn names_in(section: &str) -> BTreeSet<&'static str> {
    let below = |path: &'static str| match section {
        "" => Some(path),
        _ => path.strip_prefix(section)?.strip_prefix('.'),
    };
    let names = KEYS.iter().filter_map(|&(key, _)| below(key));
    names.map(|rest| rest.split('.').next().unwrap_or(rest)).collect()
}

/// What an environment variable overrides. Sections cannot be overridden as a whole.
pub(super) fn overridden_by(variable: &str) -> Option<Place> {
    let rest = variable.strip_prefix(PREFIX)?;
    let below = |path: &str| rest.strip_prefix(&upper(path)).is_some_and(|rest| rest.starts_with('_'));
    KEYS.iter().find_map(|&(key, meaning)| match meaning {
        Use::Read => (upper(key) == rest).then_some(Place::Key(key)),
        Use::Ignored(reason) => (upper(key) == rest || below(key)).then_some(Place::Ignored(reason)),
    })
}

/// The variable that overrides a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", upper(key))
}

/// The variables of all keys that are read.
pub(super) fn variables() -> impl Iterator<Item = String> {
    KEYS.iter().filter(|(_, meaning)| *meaning == Use::Read).map(|(key, _)| variable_of(key))
}

/// Is this, letter for letter, a key that is read?
pub(super) fn is_read(key: &str) -> bool {
    KEYS.iter().any(|&(known, meaning)| known == key && meaning == Use::Read)
}

/// What the name of a variable for this node begins with.
pub(super) const PREFIX: &str = "ORDERER_";

pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

fn upper(path: &str) -> String {
    path.replace('.', "_").to_ascii_uppercase()
}

static SECTIONS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let prefixes = |key: &'static str| key.match_indices('.').map(move |(end, _)| &key[..end]);
    KEYS.iter().flat_map(|&(key, _)| prefixes(key)).collect()
});

use Reason::{Go, Hardware, Lenient, Old, Pinned, Raft, Transport};
use Use::{Ignored, Read};

const KEYS: &[(&str, Use)] = &[
    ("General.ListenAddress", Read),
    ("General.ListenPort", Read),
    ("General.TLS.Enabled", Read),
    ("General.TLS.PrivateKey", Read),
    ("General.TLS.Certificate", Read),
    ("General.TLS.RootCAs", Ignored(Pinned)),
    ("General.TLS.ClientAuthRequired", Read),
    ("General.TLS.ClientRootCAs", Read),
    ("General.TLS.TLSHandshakeTimeShift", Read),
    ("General.Keepalive.ServerMinInterval", Ignored(Lenient)),
    ("General.Keepalive.ServerInterval", Read),
    ("General.Keepalive.ServerTimeout", Read),
    ("General.Backoff", Ignored(Transport)),
    ("General.ConnectionTimeout", Read),
    ("General.MaxRecvMsgSize", Read),
    ("General.MaxSendMsgSize", Read),
    ("General.Throttling.Rate", Read),
    ("General.Throttling.InactivityTimeout", Read),
    ("General.BootstrapMethod", Read),
    ("General.BootstrapFile", Ignored(Old)),
    ("General.GenesisMethod", Read),
    ("General.GenesisFile", Ignored(Old)),
    ("General.GenesisProfile", Ignored(Old)),
    ("General.SystemChannel", Ignored(Old)),
    ("General.LedgerType", Ignored(Old)),
    ("General.LogLevel", Ignored(Old)),
    ("General.LogFormat", Ignored(Old)),
    ("General.LocalMSPDir", Read),
    ("General.LocalMSPID", Read),
    ("General.Profile", Ignored(Go)),
    ("General.BCCSP.Default", Read),
    ("General.BCCSP.SW.Hash", Read),
    ("General.BCCSP.SW.Security", Read),
    ("General.BCCSP.SW.FileKeyStore.KeyStore", Read),
    ("General.BCCSP.PKCS11", Ignored(Hardware)),
    ("General.Authentication.TimeWindow", Read),
    ("General.Authentication.NoExpirationChecks", Read),
    ("General.Cluster.ListenAddress", Read),
    ("General.Cluster.ListenPort", Read),
    ("General.Cluster.ServerCertificate", Read),
    ("General.Cluster.ServerPrivateKey", Read),
    ("General.Cluster.ClientCertificate", Read),
    ("General.Cluster.ClientPrivateKey", Read),
    ("General.Cluster.RootCAs", Ignored(Pinned)),
    ("General.Cluster.TLSHandshakeTimeShift", Ignored(Pinned)),
    ("General.Cluster.CertExpirationWarningThreshold", Read),
    ("General.Cluster.DialTimeout", Ignored(Transport)),
    ("General.Cluster.RPCTimeout", Ignored(Transport)),
    ("General.Cluster.ReplicationBufferSize", Ignored(Transport)),
    ("General.Cluster.ReplicationPullTimeout", Ignored(Transport)),
    ("General.Cluster.ReplicationRetryTimeout", Ignored(Transport)),
    ("General.Cluster.ReplicationBackgroundRefreshInterval", Ignored(Transport)),
    ("General.Cluster.ReplicationMaxRetries", Ignored(Transport)),
    ("General.Cluster.ReplicationPolicy", Ignored(Transport)),
    ("General.Cluster.SendBufferSize", Ignored(Transport)),
    ("FileLedger.Location", Read),
    ("FileLedger.Prefix", Ignored(Old)),
    ("RAMLedger", Ignored(Old)),
    ("Kafka", Ignored(Old)),
    ("Debug", Ignored(Go)),
    ("Operations.ListenAddress", Read),
    ("Operations.TLS.Enabled", Read),
    ("Operations.TLS.Certificate", Read),
    ("Operations.TLS.PrivateKey", Read),
    ("Operations.TLS.ClientAuthRequired", Read),
    ("Operations.TLS.ClientRootCAs", Read),
    ("Operations.TLS.RootCAs", Ignored(Pinned)),
    ("Operations.TLS.TLSHandshakeTimeShift", Read),
    ("Metrics.Provider", Read),
    ("Metrics.Statsd.Network", Read),
    ("Metrics.Statsd.Address", Read),
    ("Metrics.Statsd.WriteInterval", Read),
    ("Metrics.Statsd.Prefix", Read),
    ("Admin.ListenAddress", Read),
    ("Admin.TLS.Enabled", Read),
    ("Admin.TLS.Certificate", Read),
    ("Admin.TLS.PrivateKey", Read),
    ("Admin.TLS.ClientAuthRequired", Read),
    ("Admin.TLS.ClientRootCAs", Read),
    ("Admin.TLS.RootCAs", Ignored(Pinned)),
    ("Admin.TLS.TLSHandshakeTimeShift", Read),
    ("ChannelParticipation.Enabled", Read),
    ("ChannelParticipation.MaxRequestBodySize", Read),
    ("Consensus.WALDir", Read),
    ("Consensus.SnapDir", Ignored(Raft)),
    ("Consensus.EvictionSuspicion", Ignored(Raft)),
    ("Consensus.TickIntervalOverride", Ignored(Raft)),
    ("Consensus.Type", Ignored(Raft)),
    ("BFT.Durability", Read),
    ("BFT.Verification", Read),
    ("BFT.EmbeddedFrontend", Read),
    ("BFT.StageTimes", Read),
    ("BFT.Channels", Read),
    ("BFT.Ordering.RequestTimeout", Read),
    ("BFT.Ordering.RequestTimeoutMax", Read),
    ("BFT.Ordering.DecisionTime", Read),
    ("BFT.Ordering.CheckpointInterval", Read),
    ("BFT.Ordering.BatchRequestsMax", Read),
    ("BFT.Ordering.FaultModel", Read),
    ("BFT.Ordering.Delta", Read),
    ("BFT.Ordering.Heavy", Read),
    ("BFT.Ordering.Leaders", Read),
    ("BFT.Ordering.Window", Read),
    ("BFT.Ordering.Tentative", Read),
    ("BFT.Sockets.Broadcast", Read),
    ("BFT.Sockets.Status", Read),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case() {
        assert_eq!(within("", "general"), Some(Place::Section("General")));
        assert_eq!(within("General", "tls"), Some(Place::Section("General.TLS")));
        assert_eq!(within("General.TLS", "rootcas"), Some(Place::Ignored(Pinned)));
        assert_eq!(within("General", "LISTENPORT"), Some(Place::Key("General.ListenPort")));
        assert_eq!(within("", "kafka"), Some(Place::Ignored(Old)));
        assert_eq!(within("Consensus", "whatever"), Some(Place::Ignored(Raft)));
        assert_eq!((within("General", "Port"), within("", "Generals")), (None, None));
    }

    #[test]
    fn variables_override_keys_but_not_sections() {
        assert_eq!(overridden_by("ORDERER_GENERAL_TLS_ENABLED"), Some(Place::Key("General.TLS.Enabled")));
        assert_eq!(overridden_by("ORDERER_KAFKA_RETRY_SHORTINTERVAL"), Some(Place::Ignored(Old)));
        assert_eq!(overridden_by("ORDERER_CONSENSUS_SNAPDIR"), Some(Place::Ignored(Raft)));
        for nothing in ["ORDERER_GENERAL_TLS", "ORDERER_KAFKAESQUE", "ORDERER_", "GENERAL_LISTENPORT", "ORDERER_PORT"] {
            assert_eq!(overridden_by(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn no_two_keys_have_one_variable_and_no_key_is_a_section() {
        let variables: BTreeSet<String> = KEYS.iter().map(|(key, _)| variable_of(key)).collect();
        assert_eq!(variables.len(), KEYS.len());
        assert!(KEYS.iter().all(|(key, _)| !SECTIONS.contains(key)));
    }

    #[test]
    fn the_names_in_a_section_are_those_right_below_it() {
        assert!(names_in("").is_superset(&BTreeSet::from(["General", "Admin", "BFT"])));
        assert_eq!(names_in("BFT.Sockets"), BTreeSet::from(["Broadcast", "Status"]));
        assert_eq!(names_in("General.BCCSP.SW"), BTreeSet::from(["Hash", "Security", "FileKeyStore"]));
    }
}
