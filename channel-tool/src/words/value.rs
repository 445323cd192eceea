//! The values of a configuration, one or several lines each.

use bytes::Bytes;
use fabric_proto::common::{
    BlockDataHashingStructure, Capabilities, Consortium, HashingAlgorithm, OrdererAddresses, Orderers,
};
use fabric_proto::etcdraft::ConfigMetadata;
use fabric_proto::msp::{FabricMspConfig, FabricNodeOUs, FabricOuIdentifier, MspConfig};
use fabric_proto::orderer::consensus_type::State;
use fabric_proto::orderer::{BatchSize, BatchTimeout, ChannelRestrictions, ConsensusType, KafkaBrokers};
use fabric_proto::protos::{Acls, AnchorPeers};
use fabric_proto::smartbft::Options;
use prost::Message;

use super::certificate;

/// What a value says, by its key.
pub(crate) fn value_lines(key: &str, bytes: &Bytes) -> Vec<String> {
    let lines = match key {
        "HashingAlgorithm" => decode(bytes, |message: HashingAlgorithm| vec![message.name]),
        "BlockDataHashingStructure" => {
            decode(bytes, |message: BlockDataHashingStructure| vec![format!("width {}", message.width)])
        }
        "OrdererAddresses" | "Endpoints" => {
            decode(bytes, |message: OrdererAddresses| vec![message.addresses.join(", ")])
        }
        "Consortium" => decode(bytes, |message: Consortium| vec![message.name]),
        "Capabilities" => {
            decode(bytes, |message: Capabilities| vec![message.capabilities.into_keys().collect::<Vec<_>>().join(", ")])
        }
        "Orderers" => decode(bytes, |message: Orderers| mapping(&message)),
        "ConsensusType" => decode(bytes, |message: ConsensusType| consensus_type(&message)),
        "BatchSize" => decode(bytes, |message: BatchSize| {
            vec![format!(
                "max messages {}, absolute bytes {}, preferred bytes {}",
                message.max_message_count, message.absolute_max_bytes, message.preferred_max_bytes
            )]
        }),
        "BatchTimeout" => decode(bytes, |message: BatchTimeout| vec![message.timeout]),
        "KafkaBrokers" => decode(bytes, |message: KafkaBrokers| vec![message.brokers.join(", ")]),
        "ChannelRestrictions" => decode(bytes, |message: ChannelRestrictions| match message.max_count {
            0 => vec!["none".to_owned()],
            count => vec![format!("{count} channels at most")],
        }),
        "ACLs" => decode(bytes, |message: Acls| {
            message.acls.into_iter().map(|(name, acl)| format!("{name} = {}", acl.policy_ref)).collect()
        }),
        "AnchorPeers" => decode(bytes, |message: AnchorPeers| {
            let peers: Vec<String> =
                message.anchor_peers.iter().map(|peer| format!("{}:{}", peer.host, peer.port)).collect();
            vec![peers.join(", ")]
        }),
        "MSP" => decode(bytes, |message: MspConfig| msp(&message)),
        _ => Some(vec![format!("{} bytes that are not known here", bytes.len())]),
    };
    lines.unwrap_or_else(|| vec!["does not parse".to_owned()])
}

fn decode<M: Message + Default>(bytes: &Bytes, to_lines: impl FnOnce(M) -> Vec<String>) -> Option<Vec<String>> {
    M::decode(bytes.clone()).ok().map(to_lines)
}

fn mapping(message: &Orderers) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &message.consenter_mapping {
        lines.push(format!("consenter {} at {}:{}, {}", entry.id, entry.host, entry.port, entry.msp_id));
        lines.push(format!("  identity    {}", certificate(&entry.identity)));
        lines.push(format!("  client TLS  {}", certificate(&entry.client_tls_cert)));
        lines.push(format!("  server TLS  {}", certificate(&entry.server_tls_cert)));
    }
    lines
}

fn consensus_type(message: &ConsensusType) -> Vec<String> {
    let state = State::try_from(message.state);
    let state = state.map_or_else(|_| message.state.to_string(), |state| state.as_str_name().to_owned());
    let mut lines = vec![format!("{}, {state}", message.r#type)];
    let metadata = message.metadata.clone();
    match message.r#type.as_str() {
        "etcdraft" => match ConfigMetadata::decode(metadata) {
            Ok(metadata) => lines.extend(raft(&metadata)),
            Err(_) => lines.push("metadata does not parse".to_owned()),
        },
        "BFT" => match Options::decode(metadata) {
            Ok(options) => lines.push(format!(
                "request batch of at most {} in {}, complain after {}, change of leader after {}",
                options.request_batch_max_count,
                options.request_batch_max_interval,
                options.request_complain_timeout,
                options.view_change_timeout
            )),
            Err(_) => lines.push("metadata does not parse".to_owned()),
        },
        _ => lines.push(format!("metadata of {} bytes", metadata.len())),
    }
    lines
}

fn raft(metadata: &ConfigMetadata) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(options) = &metadata.options {
        lines.push(format!(
            "tick {}, election after {} ticks, heartbeat every {}, {} blocks in flight, snapshot every {} bytes",
            options.tick_interval,
            options.election_tick,
            options.heartbeat_tick,
            options.max_inflight_blocks,
            options.snapshot_interval_size
        ));
    }
    for entry in &metadata.consenters {
        lines.push(format!("consenter at {}:{}", entry.host, entry.port));
        lines.push(format!("  client TLS  {}", certificate(&entry.client_tls_cert)));
        lines.push(format!("  server TLS  {}", certificate(&entry.server_tls_cert)));
    }
    lines
}

fn msp(message: &MspConfig) -> Vec<String> {
    if message.r#type != 0 {
        return vec![format!("an MSP of type {}, which is not read here", message.r#type)];
    }
    let Ok(config) = FabricMspConfig::decode(message.config.clone()) else {
        return vec!["does not parse".to_owned()];
    };
    let mut lines = vec![config.name.clone()];
    for (what, list) in [
        ("root CA", &config.root_certs),
        ("intermediate CA", &config.intermediate_certs),
        ("TLS root CA", &config.tls_root_certs),
        ("TLS intermediate CA", &config.tls_intermediate_certs),
        ("admin", &config.admins),
    ] {
        lines.extend(list.iter().map(|pem| format!("{what} {}", certificate(pem))));
    }
    if !config.revocation_list.is_empty() {
        lines.push(format!("{} revocation lists", config.revocation_list.len()));
    }
    lines.push(config.fabric_node_ous.as_ref().map_or_else(|| "NodeOUs off".to_owned(), node_ous));
    lines
}

fn node_ous(units: &FabricNodeOUs) -> String {
    let name = |role: &str, unit: &Option<FabricOuIdentifier>| {
        unit.as_ref().map(|unit| match unit.organizational_unit_identifier.as_str() {
            name if name == role => role.to_owned(),
            name => format!("{role} by {name}"),
        })
    };
    let roles = [
        name("client", &units.client_ou_identifier),
        name("peer", &units.peer_ou_identifier),
        name("admin", &units.admin_ou_identifier),
        name("orderer", &units.orderer_ou_identifier),
    ];
    let roles: Vec<String> = roles.into_iter().flatten().collect();
    format!("NodeOUs {}: {}", if units.enable { "on" } else { "off" }, roles.join(", "))
}
