//! Bodies that were ordered, kept while an open instance may still name them.
//!
//! With a window wider than one, a batch that a later instance is bound to can name a request that an earlier instance
//! has ordered since: its second turn is skipped at delivery, but the batch has to be whole before it is delivered at
//! all. The last instance that can name a body of instance `i` is `i + alpha - 1`. With a window of one nothing is kept.

use std::collections::BTreeMap;

use crate::id::{Digest, InstanceId};
use crate::request::Request;
use crate::seal::Sealed;

/// The bodies of the last instances.
#[derive(Debug, Default)]
pub(crate) struct OrderedBodies {
    bodies: BTreeMap<Digest, (InstanceId, Sealed<Request>)>,
    /// The window of open instances, less one.
    reach: u64,
    /// The last delivered instance.
    delivered: InstanceId,
}

impl OrderedBodies {
    pub(crate) const fn new(instances_open_max: u64, delivered: InstanceId) -> Self {
        Self { bodies: BTreeMap::new(), reach: instances_open_max - 1, delivered }
    }

    pub(crate) fn get(&self, digest: Digest) -> Option<&Sealed<Request>> {
        self.bodies.get(&digest).map(|(_, request)| request)
    }

    /// Keeps a body, if any open instance can name it. Says whether it does, and did not before.
    pub(crate) fn keep(&mut self, request: Sealed<Request>) -> bool {
        let (at, digest) = (self.delivered.next(), request.digest());
        let is_new = self.reach > 0 && !self.bodies.contains_key(&digest);
        if is_new {
            self.bodies.insert(digest, (at, request));
        }
        is_new
    }

    /// An instance was delivered: what no open one can name any more is forgotten.
    pub(crate) fn delivered(&mut self, instance: InstanceId) {
        self.delivered = instance;
        let reach = self.reach;
        self.bodies.retain(|_, (at, _)| at.0 + reach > instance.0);
    }

    /// A decision before the checkpoint was read: its bodies are needed only if a later instance can name them.
    pub(crate) fn decided_before(&mut self, instance: InstanceId, requests: &[Digest]) {
        for digest in requests.iter().filter(|_| instance.0 + self.reach <= self.delivered.0) {
            self.bodies.remove(digest);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Sealed<Request>> {
        self.bodies.values().map(|(_, request)| request)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::{Client, GroupId, ReplicaId, RequestId, Sequence, SessionId};
    use crate::seal::{Signature, Signer};

    struct NoKey;

    impl Signer for NoKey {
        fn sign(&self, _: &[u8]) -> Signature {
            Signature([0; 64])
        }
    }

    fn request(sequence: u64) -> Sealed<Request> {
        let client = Client::Replica(ReplicaId(0));
        let id = RequestId { client, session: SessionId(1), sequence: Sequence(sequence) };
        Request { id, body: Bytes::new() }.seal(GroupId([0; 32]), &NoKey)
    }

    /// Found by the simulator: a bound batch of instance 29 waited for ever for what instance 28 had ordered.
    #[test]
    fn a_body_is_kept_as_long_as_an_open_instance_can_name_it() {
        let mut bodies = OrderedBodies::new(3, InstanceId(27));
        assert!(bodies.keep(request(1)));
        assert!(!bodies.keep(request(1)), "it is kept already");
        for delivered in [28, 29] {
            bodies.delivered(InstanceId(delivered));
            assert!(bodies.get(request(1).digest()).is_some(), "instance {} can name it", delivered + 1);
        }
        bodies.delivered(InstanceId(30));
        assert!(bodies.get(request(1).digest()).is_none(), "no open instance can name it any more");
    }

    #[test]
    fn with_a_window_of_one_nothing_is_kept() {
        let mut bodies = OrderedBodies::new(1, InstanceId(0));
        assert!(!bodies.keep(request(1)));
        assert_eq!(bodies.all().count(), 0);
    }
}
