//! What a node asks of its group, as a client of its own: a cut when its timer fires, a hand-over, the end of a session.
//!
//! Like any client it numbers its requests, and the window over its numbers moves with the lowest that is not ordered. A number
//! that was used and that nobody holds would stand in the way of all later ones for as long as the node runs. So a request
//! counts as asked for only when our own replica holds it, which offers it to the others until it is ordered; until then the same
//! bytes are sent again with whatever is asked for next.

use std::collections::BTreeMap;

use blockcutter::command::{self, Command};
use mod_smart::{Answer, Client, GroupId, ReplicaId, Request, RequestId, Sealed, Sequence, SessionId, Signer};

/// The requests of one life of a node.
#[derive(Debug)]
pub struct OwnRequests {
    client: Client,
    session: SessionId,
    last: Sequence,
    /// What our own replica does not hold yet, as far as we know.
    not_held: BTreeMap<Sequence, Sealed<Request>>,
}

/// More are not kept. Then nothing new is asked for: it would be refused like those before it, and timers fire again.
const NOT_HELD_MAX: usize = 16;

impl OwnRequests {
    /// Nothing was asked for in this session.
    #[must_use]
    pub const fn new(me: ReplicaId, session: SessionId) -> Self {
        Self { client: Client::Replica(me), session, last: Sequence(0), not_held: BTreeMap::new() }
    }

    /// What is to be sent to every replica: what is not held, and a new request, unless too many are not held.
    pub fn ask(&mut self, group: GroupId, key: &dyn Signer, commands: &[Command]) -> Vec<Sealed<Request>> {
        if self.not_held.len() < NOT_HELD_MAX {
            self.last = self.last.next();
            let id = RequestId { client: self.client, session: self.session, sequence: self.last };
            let request = Request { id, body: command::encode(commands) }.seal(group, key);
            self.not_held.insert(self.last, request);
        }
        self.not_held.values().cloned().collect()
    }

    /// What our own replica answers. A request of another client is none of ours.
    pub fn on_answer(&mut self, id: RequestId, answer: Answer) {
        // Where the whole session has ended nothing of it can be ordered any more.
        if id.client == self.client && id.session == self.session && matches!(answer, Answer::Held | Answer::Stale) {
            self.not_held.remove(&id.sequence);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mod_smart::Signature;

    use super::*;

    struct Key;

    impl Signer for Key {
        fn sign(&self, _: &[u8]) -> Signature {
            Signature([7; 64])
        }
    }

    const GROUP: GroupId = GroupId([1; 32]);

    fn hand_over(to: u16) -> [Command; 1] {
        [Command::HandOver { regency: mod_smart::Regency(0), to: ReplicaId(to) }]
    }

    fn numbers(requests: &[Sealed<Request>]) -> Vec<u64> {
        requests.iter().map(|request| request.value().id.sequence.0).collect()
    }

    #[test]
    fn a_number_that_was_refused_is_asked_for_again_with_the_same_bytes_until_it_is_held() {
        let mut own = OwnRequests::new(ReplicaId(2), SessionId(9));
        let first = own.ask(GROUP, &Key, &hand_over(1));
        assert_eq!(numbers(&first), [1]);
        own.on_answer(first[0].value().id, Answer::Overloaded);
        let both = own.ask(GROUP, &Key, &hand_over(2));
        assert_eq!((numbers(&both), both[0].bytes()), (vec![1, 2], first[0].bytes()));
        own.on_answer(both[1].value().id, Answer::Held);
        let other = RequestId { session: SessionId(8), ..both[0].value().id };
        own.on_answer(other, Answer::Held);
        assert_eq!(numbers(&own.ask(GROUP, &Key, &hand_over(3))), [1, 3], "that was another session");
        own.on_answer(both[0].value().id, Answer::Held);
        assert_eq!(numbers(&own.ask(GROUP, &Key, &hand_over(0))), [3, 4]);
    }

    #[test]
    fn under_overload_no_more_numbers_are_used_up_than_are_kept() {
        let mut own = OwnRequests::new(ReplicaId(2), SessionId(9));
        let mut asked = Vec::new();
        (0..100).for_each(|_| asked = own.ask(GROUP, &Key, &hand_over(1)));
        assert_eq!(numbers(&asked), (1..=NOT_HELD_MAX as u64).collect::<Vec<_>>());
        for request in &asked {
            own.on_answer(request.value().id, Answer::Held);
        }
        assert_eq!(numbers(&own.ask(GROUP, &Key, &hand_over(1))), [NOT_HELD_MAX as u64 + 1]);
    }
}
