//! The names of loggers: Fabric's for what has one of the same meaning, our own below Fabric's prefixes for the rest.

use std::borrow::Cow;

/// The logger of a tracing target (a module path). What stands below an entry of the table keeps its own name there:
/// `orderer_node::mesh::dialer` is `orderer.common.cluster.dialer`.
#[must_use]
pub fn logger_of(target: &str) -> Cow<'_, str> {
    let below = |prefix: &str| target.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with("::"));
    let fitting = LOGGERS.iter().filter_map(|&(prefix, logger)| Some((prefix.len(), logger, below(prefix)?)));
    match fitting.max_by_key(|&(length, ..)| length) {
        Some((_, logger, "")) => Cow::Borrowed(logger),
        Some((_, logger, rest)) => Cow::Owned(format!("{logger}{}", rest.replace("::", "."))),
        None if target.contains("::") => Cow::Owned(target.replace("::", ".")),
        None => Cow::Borrowed(target),
    }
}

/// Targets and their loggers. The longest target that fits counts; other crates keep their names.
pub const LOGGERS: &[(&str, &str)] = &[
    ("blockcutter", "orderer.common.blockcutter"),
    ("fabric_channel", "common.channelconfig"),
    ("frontend_shim", "orderer.common"),
    ("frontend_shim::admission", "orderer.common.msgprocessor"),
    ("frontend_shim::broadcast", "orderer.common.broadcast"),
    ("frontend_shim::channels", "orderer.common.multichannel"),
    ("frontend_shim::collector", "orderer.consensus.bft.collector"),
    ("frontend_shim::config_update", "common.configtx"),
    ("frontend_shim::deliver", "common.deliver"),
    ("frontend_shim::ledger", "blkstorage"),
    ("frontend_shim::local_msp", "msp"),
    ("frontend_shim::service", "comm.grpc.server"),
    ("frontend_shim::tls", "comm.tls"),
    ("mod_smart", "orderer.consensus.bft"),
    ("orderer", "orderer.common.server"),
    ("orderer_node", "orderer.consensus.bft"),
    ("orderer_node::administration", "orderer.common.channelparticipation"),
    ("orderer_node::block_catch_up", "orderer.common.onboarding"),
    ("orderer_node::config", "localconfig"),
    ("orderer_node::http_server", "fabhttp"),
    ("orderer_node::joined", "orderer.common.multichannel"),
    ("orderer_node::listener", "comm.grpc.server"),
    ("orderer_node::logging", "flogging"),
    ("orderer_node::mesh", "orderer.common.cluster"),
    ("orderer_node::node", "orderer.common.server"),
    ("orderer_node::orderer_yaml", "localconfig"),
    ("orderer_node::operations", "orderer.operations"),
    ("orderer_node::participation", "orderer.common.channelparticipation"),
    ("orderer_node::registrar", "orderer.common.multichannel"),
    ("orderer_node::status", "orderer.operations"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_fabrics_names_where_there_are_any() {
        for (target, logger) in [
            ("frontend_shim::broadcast", "orderer.common.broadcast"),
            ("orderer_node::mesh::dialer", "orderer.common.cluster.dialer"),
            ("orderer_node::meshes", "orderer.consensus.bft.meshes"),
            ("orderer_node::journal", "orderer.consensus.bft.journal"),
            ("orderer", "orderer.common.server"),
            ("mod_smart", "orderer.consensus.bft"),
            ("hyper::proto::h2", "hyper.proto.h2"),
            ("rustls", "rustls"),
        ] {
            assert_eq!(logger_of(target), logger);
        }
    }

    #[test]
    fn every_logger_can_stand_in_a_specification() {
        for (_, logger) in LOGGERS {
            assert!(format!("{logger}=debug").parse::<super::super::Spec>().is_ok(), "{logger}");
        }
    }
}
