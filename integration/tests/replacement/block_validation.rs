//! The policy BlockValidation of a channel of type etcdraft, which its administrators write: what they cannot set, and what
//! they are warned of.

use integration::material::ORDERER_MSP_ID;
use serde_json::{Value, json};

use crate::release::Fabric;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_no_block_could_satisfy_is_refused_and_one_that_a_single_orderer_satisfies_is_warned_of() {
    let Some(fabric) = Fabric::v2_5("the policy BlockValidation") else { return };
    let mut stage = Stage::set(&fabric).await;
    let office = [stage.orderers.keys.orderer_administrator()];
    let set =
        |policy: Value| move |groups: &mut Value| groups["Orderer"]["policies"]["BlockValidation"]["policy"] = policy;

    let refused = stage.change(&office, set(out_of(5, 5))).await.unwrap_err().to_string();
    assert!(refused.contains("BAD_REQUEST") && refused.contains("no block would be valid after it"), "{refused}");

    stage.orderers.crash(2).await;
    assert!(!stage.orderers.said(2).contains(WARNING), "{}", stage.orderers.said(2));
    let any = json!({ "type": 3, "value": { "rule": "ANY", "sub_policy": "Writers" } });
    stage.change(&office, set(any)).await.unwrap();
    stage.order(2, 10).await;
    stage.check().await;
    stage.orderers.crash(2).await;
    assert!(stage.orderers.said(2).contains(WARNING), "{}", stage.orderers.said(2));

    stage.change(&office, set(out_of(3, 4))).await.unwrap();
    stage.order(2, 10).await;
    stage.check().await;
}

/// So many signatures by orderers, of as many entries.
fn out_of(needed: usize, entries: usize) -> Value {
    let role = json!({ "msp_identifier": ORDERER_MSP_ID, "role": "ORDERER" });
    let identities = json!([{ "principal_classification": "ROLE", "principal": role }]);
    let rules = vec![json!({ "signed_by": 0 }); entries];
    let rule = json!({ "n_out_of": { "n": needed, "rules": rules } });
    json!({ "type": 1, "value": { "version": 0, "rule": rule, "identities": identities } })
}

const WARNING: &str = "peers of this channel believe blocks signed by 1 of its 4 orderers";
