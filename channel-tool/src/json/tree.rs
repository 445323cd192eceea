//! The configuration tree and the values in it.

use std::collections::BTreeMap;

use fabric_channel::config_tree::{ConfigTree, Group, PolicyEntry, UnknownFields, Value};
use fabric_proto::common::{
    BlockDataHashingStructure, Capabilities, Consortium, HashingAlgorithm, OrdererAddresses, Orderers,
};
use fabric_proto::etcdraft::ConfigMetadata;
use fabric_proto::orderer::consensus_type::State;
use fabric_proto::orderer::{BatchSize, BatchTimeout, ChannelRestrictions, ConsensusType, KafkaBrokers};
use fabric_proto::protos::{Acls, AnchorPeers};
use fabric_proto::smartbft::Options;
use fabric_proto::smartbft::options::Rotation;
use prost::Message;
use serde_json::{Value as Json, json};

use super::{base64, msp, optional, policy};

/// A `Config` message.
pub(crate) fn config(tree: &ConfigTree) -> Json {
    json!({ "channel_group": optional(tree.root.as_ref(), group), "sequence": tree.sequence.to_string() })
}

/// A group with all that it holds.
pub(super) fn group(group: &Group) -> Json {
    let json = json!({
        "groups": members(&group.groups, |_, member| self::group(member)),
        "mod_policy": group.mod_policy,
        "policies": members(&group.policies, |_, member| policy_entry(member)),
        "values": members(&group.values, value),
        "version": group.version.to_string(),
    });
    with_unknown(json, &group.unknown)
}

fn value(key: &str, value: &Value) -> Json {
    let json = json!({
        "mod_policy": value.mod_policy,
        "value": content(key, &value.value),
        "version": value.version.to_string(),
    });
    with_unknown(json, &value.unknown)
}

fn policy_entry(entry: &PolicyEntry) -> Json {
    let json = json!({
        "mod_policy": entry.mod_policy,
        "policy": optional(entry.policy.as_ref(), policy::policy),
        "version": entry.version.to_string(),
    });
    with_unknown(json, &entry.unknown)
}

fn members<M>(members: &BTreeMap<String, M>, to_json: impl Fn(&str, &M) -> Json) -> Json {
    Json::Object(members.iter().map(|(name, member)| (name.clone(), to_json(name, member))).collect())
}

fn with_unknown(mut json: Json, unknown: &UnknownFields) -> Json {
    if let (false, Json::Object(object)) = (unknown.is_empty(), &mut json) {
        object.insert("unknown_fields".to_owned(), base64(unknown.as_bytes()));
    }
    json
}

/// A value's message, whose type follows from its key. No bytes at all are `null`.
fn content(key: &str, bytes: &[u8]) -> Json {
    if bytes.is_empty() {
        return Json::Null;
    }
    let decoded = match key {
        "HashingAlgorithm" => decode(bytes, |message: HashingAlgorithm| json!({ "name": message.name })),
        "BlockDataHashingStructure" => {
            decode(bytes, |message: BlockDataHashingStructure| json!({ "width": message.width }))
        }
        "OrdererAddresses" | "Endpoints" => {
            decode(bytes, |message: OrdererAddresses| json!({ "addresses": message.addresses }))
        }
        "Consortium" => decode(bytes, |message: Consortium| json!({ "name": message.name })),
        "Capabilities" => decode(
            bytes,
            |message: Capabilities| json!({ "capabilities": members(&message.capabilities, |_, _| json!({})) }),
        ),
        "Orderers" => decode(bytes, orderers),
        "ConsensusType" => decode(bytes, consensus_type),
        "BatchSize" => decode(bytes, |message: BatchSize| {
            json!({
                "absolute_max_bytes": message.absolute_max_bytes,
                "max_message_count": message.max_message_count,
                "preferred_max_bytes": message.preferred_max_bytes,
            })
        }),
        "BatchTimeout" => decode(bytes, |message: BatchTimeout| json!({ "timeout": message.timeout })),
        "KafkaBrokers" => decode(bytes, |message: KafkaBrokers| json!({ "brokers": message.brokers })),
        "ChannelRestrictions" => {
            decode(bytes, |message: ChannelRestrictions| json!({ "max_count": message.max_count.to_string() }))
        }
        "ACLs" => decode(
            bytes,
            |message: Acls| json!({ "acls": members(&message.acls, |_, acl| json!({ "policy_ref": acl.policy_ref })) }),
        ),
        "AnchorPeers" => decode(bytes, |message: AnchorPeers| {
            let peer = |peer: &fabric_proto::protos::AnchorPeer| json!({ "host": peer.host, "port": peer.port });
            json!({ "anchor_peers": message.anchor_peers.iter().map(peer).collect::<Json>() })
        }),
        "MSP" => msp::msp(bytes),
        _ => None,
    };
    decoded.unwrap_or_else(|| base64(bytes))
}

fn decode<M: Message + Default>(bytes: &[u8], to_json: impl FnOnce(M) -> Json) -> Option<Json> {
    M::decode(bytes).ok().map(to_json)
}

fn orderers(message: Orderers) -> Json {
    let consenter = |entry: &fabric_proto::common::Consenter| {
        json!({
            "client_tls_cert": base64(&entry.client_tls_cert),
            "host": entry.host,
            "id": entry.id,
            "identity": base64(&entry.identity),
            "msp_id": entry.msp_id,
            "port": entry.port,
            "server_tls_cert": base64(&entry.server_tls_cert),
        })
    };
    json!({ "consenter_mapping": message.consenter_mapping.iter().map(consenter).collect::<Json>() })
}

fn consensus_type(message: ConsensusType) -> Json {
    let bytes = &message.metadata[..];
    let metadata = match message.r#type.as_str() {
        _ if bytes.is_empty() => Some(Json::Null),
        "BFT" => decode(bytes, bft_options),
        "etcdraft" => decode(bytes, raft_metadata),
        _ => None,
    };
    let state =
        State::try_from(message.state).map_or_else(|_| json!(message.state), |state| json!(state.as_str_name()));
    json!({ "metadata": metadata.unwrap_or_else(|| base64(bytes)), "state": state, "type": message.r#type })
}

fn raft_metadata(message: ConfigMetadata) -> Json {
    let consenter = |entry: &fabric_proto::etcdraft::Consenter| {
        json!({
            "client_tls_cert": base64(&entry.client_tls_cert),
            "host": entry.host,
            "port": entry.port,
            "server_tls_cert": base64(&entry.server_tls_cert),
        })
    };
    json!({
        "consenters": message.consenters.iter().map(consenter).collect::<Json>(),
        "options": optional(message.options.as_ref(), |options| json!({
            "election_tick": options.election_tick,
            "heartbeat_tick": options.heartbeat_tick,
            "max_inflight_blocks": options.max_inflight_blocks,
            "snapshot_interval_size": options.snapshot_interval_size,
            "tick_interval": options.tick_interval,
        })),
    })
}

fn bft_options(options: Options) -> Json {
    let rotation = Rotation::try_from(options.leader_rotation)
        .map_or_else(|_| json!(options.leader_rotation), |rotation| json!(rotation.as_str_name()));
    json!({
        "collect_timeout": options.collect_timeout,
        "decisions_per_leader": options.decisions_per_leader.to_string(),
        "incoming_message_buffer_size": options.incoming_message_buffer_size.to_string(),
        "leader_heartbeat_count": options.leader_heartbeat_count.to_string(),
        "leader_heartbeat_timeout": options.leader_heartbeat_timeout,
        "leader_rotation": rotation,
        "request_auto_remove_timeout": options.request_auto_remove_timeout,
        "request_batch_max_bytes": options.request_batch_max_bytes.to_string(),
        "request_batch_max_count": options.request_batch_max_count.to_string(),
        "request_batch_max_interval": options.request_batch_max_interval,
        "request_complain_timeout": options.request_complain_timeout,
        "request_forward_timeout": options.request_forward_timeout,
        "request_max_bytes": options.request_max_bytes.to_string(),
        "request_pool_size": options.request_pool_size.to_string(),
        "speed_up_view_change": options.speed_up_view_change,
        "sync_on_start": options.sync_on_start,
        "view_change_resend_interval": options.view_change_resend_interval,
        "view_change_timeout": options.view_change_timeout,
    })
}
